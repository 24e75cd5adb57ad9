/** IP addresses of clients: in one form, as the bytes that they are, and as the key under which a client is counted. */

import { isIPv6, SocketAddress } from 'node:net';

/** IPv4 without the prefix `::ffff:` of sockets that speak both, IPv6 in its short form and without a zone. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [plain = ''] = address.split('%');
  return isIPv6(plain) ? new SocketAddress({ address: plain, family: 'ipv6' }).address : plain;
}

/** IPv6 by /64, since one client has as many addresses in it as it likes. @param address as `plainAddress` has it */
export function addressKey(address: string): string {
  if (!isIPv6(address)) return address;
  return `${ipv6Groups(address)
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The eight groups of 16 bits. @param address without a dotted part */
export function ipv6Groups(address: string): number[] {
  const [left = '', right] = address.split('::');
  const head = left.split(':').filter(Boolean);
  const tail = (right ?? '').split(':').filter(Boolean);
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return groups.map((group) => Number.parseInt(group, 16));
}
