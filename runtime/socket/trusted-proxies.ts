/**
 * The address of a client behind proxies. A header can say anything, so it is read from the right: the rightmost entry
 * was added by the proxy that the request came from, and counts if that proxy is trusted; the entry to its left counts
 * if the proxy in this one is trusted too, and so on. Without trusted proxies the address is that of the socket.
 */

import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { plainAddress } from './address.ts';

/** The part of the configuration that it reads, at each request. */
export interface ProxyPolicy {
  readonly current: { readonly trustedProxies?: readonly string[] | undefined };
}

export class TrustedProxies {
  readonly #policy: ProxyPolicy;
  #cidrs: readonly string[] | undefined;
  #ranges = new BlockList();

  constructor(policy: ProxyPolicy) {
    this.#policy = policy;
  }

  /**
   * The client's address. Of `X-Forwarded-For` and `Forwarded`, a proxy usually sets one and passes the other on: if both
   * are there and disagree, neither counts.
   * @param socketAddress of the socket that the request came over
   */
  clientAddress(socketAddress: string, headers: IncomingHttpHeaders): string {
    const nearest = plainAddress(socketAddress);
    this.#readPolicy();
    if (this.#cidrs === undefined || !this.#isTrusted(nearest)) return nearest;
    const { forwarded, 'x-forwarded-for': forwardedFor } = headers;
    const lists = [
      ...(forwardedFor === undefined ? [] : [[forwardedFor].flat().join(',').split(',')]),
      ...(forwarded === undefined ? [] : [forwardedHops(forwarded)]),
    ];
    const [first = nearest, second = first] = lists.map((hops) => this.#walk(nearest, hops));
    return first === second ? first : nearest;
  }

  #readPolicy(): void {
    const { trustedProxies } = this.#policy.current;
    if (trustedProxies === this.#cidrs) return;
    this.#cidrs = trustedProxies;
    this.#ranges = new BlockList();
    for (const cidr of trustedProxies ?? []) {
      const [address = '', bits] = cidr.split('/');
      this.#ranges.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
    }
  }

  #walk(nearest: string, hops: readonly string[]): string {
    let address = nearest;
    for (const hop of hops.toReversed()) {
      const next = addressIn(hop.trim());
      if (next === undefined) return address;
      address = next;
      if (!this.#isTrusted(address)) return address;
    }
    return address;
  }

  #isTrusted(address: string): boolean {
    return isIP(address) !== 0 && this.#ranges.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

/** The `for` of each element (RFC 7239), without quotes; '' for an element without one. */
function forwardedHops(header: string): string[] {
  const elements = header.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
  return elements.map((element) => /(?:^|;)\s*for=(?:"([^"]*)"|([^\s;"]*))/i.exec(element)?.slice(1).join('') ?? '');
}

/** The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`; undefined for others. */
function addressIn(hop: string): string | undefined {
  const [, bracketed, dotted] = /^(?:\[([0-9a-f:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+)(?::\d+)?)$/i.exec(hop) ?? [];
  const address = bracketed ?? dotted ?? hop;
  return isIP(address) === 0 ? undefined : plainAddress(address);
}
