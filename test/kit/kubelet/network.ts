/**
 * Addresses of pods, and the names that lead to them. A pod lives on a loopback address of its own, 127.a.b.c; since an
 * API server refuses endpoints on loopback, it is told 10.a.b.c.
 */

import { renameSync, writeFileSync } from 'node:fs';

import type { Endpoint, EndpointSlice } from './objects.ts';

export interface PodNetwork {
  /** The address of the node, as the API knows it. */
  readonly nodeAddress: string;
  /** A new address, as the API knows it. @throws when there are no more */
  allocate(): string;
  release(address: string): void;
}

/** Where a process listens that has this address in the API. */
export function localAddress(address: string): string {
  return address.replace(/^\d+/, '127');
}

/** A network of 250 pods; clusters that run at the same time have different ones, but for one chance in sixty thousand. */
export function createPodNetwork(): PodNetwork {
  const [high, low] = [1, 0].map((least) => least + Math.floor(Math.random() * 254));
  const free = Array.from({ length: 250 }, (_, index) => `10.${high}.${low}.${index + 1}`);
  return {
    nodeAddress: `10.${high}.${low}.254`,
    allocate: () => {
      const address = free.shift();
      if (address === undefined) throw new Error('no address is left for another pod');
      return address;
    },
    release: (address) => void free.push(address),
  };
}

/** Tells the processes of pods where services are. */
export function writeServices(file: string, slices: Iterable<EndpointSlice>): void {
  const services: Record<string, string[]> = {};
  for (const { metadata, endpoints } of slices) {
    const service = metadata.labels?.['kubernetes.io/service-name'];
    if (service === undefined) continue;
    const name = `${service}.${metadata.namespace}`;
    services[name] ??= [];
    for (const endpoint of (endpoints ?? []).filter(isReady)) {
      const addresses = endpoint.addresses.map(localAddress);
      services[name].push(...addresses);
      if (endpoint.hostname !== undefined) services[`${endpoint.hostname}.${name}`] = addresses;
    }
  }
  // Swapped in one piece: it is read at any time.
  writeFileSync(`${file}.new`, JSON.stringify(services));
  renameSync(`${file}.new`, file);
}

function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false;
}
