/**
 * Preloaded into the processes of pods (`node --import`): resolves names and ports of services to ready pods, like the
 * DNS and the proxy of a cluster. Every other name is resolved as usual.
 */

import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';

import type { Destinations } from './network.ts';

type Method = 'lookup' | 'resolve4' | 'resolve6';
type Options = { readonly all?: boolean };

const namespace = process.env.KUBELET_NAMESPACE ?? '';
const file = process.env.KUBELET_SERVICES ?? '';
/** Ports of services by the addresses that their names were resolved to: who resolves a name himself connects to those. */
const resolvedPorts = new Map<string, Destinations['ports']>();

override('lookup', (addresses, { all = false }) =>
  all ? [null, addresses.map((address) => ({ address, family: 4 }))] : [null, addresses[0], 4],
);
override('resolve4', (addresses) => [null, addresses]);
override('resolve6', () => [notFound('resolve6', 'of a service')]);
syncBuiltinESMExports();
overrideConnect();

/** @param answer arguments for the callback */
function override(method: Method, answer: (addresses: readonly string[], options: Options) => unknown[]): void {
  const original = dns[method] as (...args: unknown[]) => unknown; // one signature for its overloads
  const replacement = (name: string, ...rest: unknown[]): unknown => {
    const service = serviceOf(name);
    if (service === undefined) return original.call(dns, name, ...rest);
    const callback = rest.at(-1) as (...args: unknown[]) => void; // the last argument, for every overload
    const options = (rest.length > 1 && typeof rest[0] === 'object' ? rest[0] : {}) as Options;
    const addresses = inRandomOrder(service.addresses);
    for (const address of addresses) resolvedPorts.set(address, { ...resolvedPorts.get(address), ...service.ports });
    const answers = addresses.length === 0 ? [notFound(method, name)] : answer(addresses, options);
    return process.nextTick(callback, ...answers);
  };
  Object.assign(dns, { [method]: replacement });
}

/** Every connection passes here, with its options alone or first in a list. */
function overrideConnect(): void {
  const original = Socket.prototype.connect as (...args: unknown[]) => Socket; // one signature for its overloads
  Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
    const [options] = [args[0]].flat() as { host?: string; port?: number | string }[];
    const host = options?.host ?? '';
    const target = (serviceOf(host)?.ports ?? resolvedPorts.get(host))?.[`${options?.port}`];
    if (options !== undefined && target !== undefined) options.port = target;
    return original.apply(this, args);
  };
}

/** Undefined for what is not the name of a service. */
function serviceOf(name: string): Destinations | undefined {
  const full = name.replace(/\.$/, '');
  const short = full.replace(/\.svc(\.cluster\.local)?$/, '');
  const services = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Destinations>; // written by the kubelet
  const found = services[short] ?? services[`${short}.${namespace}`];
  return found === undefined && short !== full ? { addresses: [], ports: {} } : found;
}

function inRandomOrder(addresses: readonly string[]): string[] {
  const shuffled = addresses.map((address) => [Math.random(), address] as const).sort(([a], [b]) => a - b);
  return shuffled.map(([, address]) => address);
}

function notFound(method: Method, hostname: string): NodeJS.ErrnoException {
  const message = `${method} ENOTFOUND ${hostname}`;
  return Object.assign(new Error(message), { code: 'ENOTFOUND', syscall: method, hostname });
}
