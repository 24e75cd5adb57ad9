/**
 * Finds held clients that have left. A held socket is not read from, so its end (FIN or RST) would be seen only when
 * the hold ends. The kernel knows: its table of TCP connections (Linux, `/proc/net/tcp`) has no entry for one that was
 * reset, and says CLOSE_WAIT for one whose client has sent a FIN. The table is read only while connections are held.
 * Elsewhere, where there is no such table, such clients are noticed when the hold ends.
 */

import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ipv6Groups } from './address.ts';

const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** The kernel's number of the state ESTABLISHED. */
const established = '01';

/** The other end of a socket as the kernel writes it. */
export function peerKey(transport: Duplex): string | undefined {
  const { localPort, remoteAddress, remotePort } = transport as Socket;
  if (localPort === undefined || remoteAddress === undefined || remotePort === undefined) return undefined;
  return `${hexPort(localPort)} ${hexAddress(remoteAddress)}:${hexPort(remotePort)}`;
}

/** @returns the keys of all connections on which a client can still send; undefined where the kernel does not say */
export async function readPresent(): Promise<Set<string> | undefined> {
  const present = new Set<string>();
  let isKnown = false;
  for (const table of tables) {
    let text: string;
    try {
      text = await readFile(table, 'latin1');
    } catch {
      // Not Linux, or IPv6 is off. Without any table there is nothing to know.
      continue;
    }
    isKnown = true;
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', remote = '', state] = line.trim().split(/ +/);
      if (state === established) present.add(`${local.slice(-4)} ${short(remote)}`);
    }
  }
  return isKnown ? present : undefined;
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}

/** IPv4 in eight digits, also when it is mapped to IPv6. */
function short(remote: string): string {
  return remote.replace(/^0{16}FFFF0000/, '');
}

/** The kernel writes each 32-bit word of an address in the byte order of the machine, little-endian on all of ours. */
function hexAddress(address: string): string {
  const bytes = address.includes('.') ? ipv4Bytes(address) : ipv6Bytes(address);
  let hex = '';
  for (let word = 0; word < bytes.length; word += 4) {
    for (const byte of bytes.slice(word, word + 4).reverse()) hex += byte.toString(16).toUpperCase().padStart(2, '0');
  }
  return hex;
}

function ipv4Bytes(address: string): number[] {
  return address
    .slice(address.lastIndexOf(':') + 1)
    .split('.')
    .map(Number);
}

function ipv6Bytes(address: string): number[] {
  const [plain = ''] = address.split('%');
  return ipv6Groups(plain).flatMap((group) => [group >> 8, group & 255]);
}
