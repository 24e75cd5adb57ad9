/**
 * Addresses of pods, and the names that lead to them. A pod lives on a loopback address of its own, 127.a.b.c; since an
 * API server refuses endpoints on loopback, it gets 10.a.b.c.
 */

import { renameSync, writeFileSync } from 'node:fs';

import type { Endpoint, EndpointSlice, ServiceObject } from './objects.ts';

export interface PodNetwork {
  /** The address of the node, as the API knows it. */
  readonly nodeAddress: string;
  /** The address of a pod, `<namespace>/<name>`, as the API knows it, also before there is one. @throws when there are no more */
  addressOf(pod: string): string;
  /** Frees the address of a pod that does not come back. */
  release(pod: string): void;
}

/** Where a process listens that has this address in the API. */
export function localAddress(address: string): string {
  return address.replace(/^\d+/, '127');
}

/** A network of 250 pods; two clusters at the same time share one with a probability of one in sixty thousand. */
export function createPodNetwork(): PodNetwork {
  const [high, low] = [1, 0].map((least) => least + Math.floor(Math.random() * 254));
  const free = Array.from({ length: 250 }, (_, index) => `10.${high}.${low}.${index + 1}`);
  const taken = new Map<string, string>();
  return {
    nodeAddress: `10.${high}.${low}.254`,
    addressOf: (pod) => {
      const address = taken.get(pod) ?? free.shift();
      if (address === undefined) throw new Error('no address is left for another pod');
      taken.set(pod, address);
      return address;
    },
    release: (pod) => {
      const address = taken.get(pod);
      if (address !== undefined) free.push(address);
      taken.delete(pod);
    },
  };
}

/** Where a service is: addresses of its pods that are ready, and which port of theirs a port of its own leads to. */
export interface Destinations {
  readonly addresses: readonly string[];
  readonly ports: Readonly<Record<string, number>>;
}

/** Writes the addresses of services, by `<name>.<namespace>`, for the processes of pods. */
export function writeServices(file: string, services: Iterable<ServiceObject>, slices: Iterable<EndpointSlice>): void {
  const found: Record<string, Destinations> = {};
  const all = [...slices];
  for (const { metadata, spec } of services) {
    const mine = all.filter(
      (slice) =>
        slice.metadata.namespace === metadata.namespace &&
        slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name,
    );
    const targets = new Map(mine.flatMap((slice) => (slice.ports ?? []).map(({ name = '', port }) => [name, port])));
    const ports = Object.fromEntries(
      (spec.ports ?? []).map(({ name = '', port }) => [`${port}`, targets.get(name) ?? port]),
    );
    const endpoints = mine.flatMap((slice) => slice.endpoints ?? []).filter(isReady);
    const name = `${metadata.name}.${metadata.namespace}`;
    found[name] = { addresses: endpoints.flatMap(({ addresses }) => addresses.map(localAddress)), ports };
    for (const { hostname, addresses } of endpoints) {
      if (hostname !== undefined) found[`${hostname}.${name}`] = { addresses: addresses.map(localAddress), ports };
    }
  }
  // Swapped in one piece: it is read at any time.
  writeFileSync(`${file}.new`, JSON.stringify(found));
  renameSync(`${file}.new`, file);
}

function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false;
}
