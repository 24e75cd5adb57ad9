/**
 * Loaded into the processes of pods (`node --import`): names of services lead to pods that are ready, as the DNS and the
 * proxy of a cluster would; but a port stays as it is asked for. Every other name is looked up as ever.
 */

import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

type Method = 'lookup' | 'resolve4' | 'resolve6';
type Options = { readonly all?: boolean };

const namespace = process.env.KUBELET_NAMESPACE ?? '';
const file = process.env.KUBELET_SERVICES ?? '';

override('lookup', (addresses, { all = false }) =>
  all ? [null, addresses.map((address) => ({ address, family: 4 }))] : [null, addresses[0], 4],
);
override('resolve4', (addresses) => [null, addresses]);
override('resolve6', () => [notFound('resolve6', 'of a service')]);
syncBuiltinESMExports();

/** @param answer what the callback is called with */
function override(method: Method, answer: (addresses: readonly string[], options: Options) => unknown[]): void {
  const original = dns[method] as (...args: unknown[]) => unknown; // one signature for its overloads
  const replacement = (name: string, ...rest: unknown[]): unknown => {
    const addresses = addressesOf(name);
    if (addresses === undefined) return original.call(dns, name, ...rest);
    const callback = rest.at(-1) as (...args: unknown[]) => void; // the last argument, for every overload
    const options = (rest.length > 1 && typeof rest[0] === 'object' ? rest[0] : {}) as Options;
    const answers = addresses.length === 0 ? [notFound(method, name)] : answer(addresses, options);
    return process.nextTick(callback, ...answers);
  };
  Object.assign(dns, { [method]: replacement });
}

/** In random order; undefined for what is not the name of a service. */
function addressesOf(name: string): string[] | undefined {
  const short = name.replace(/\.$/, '').replace(/\.svc(\.cluster\.local)?$/, '');
  const services = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[]>; // written by the kubelet
  const found = services[short] ?? services[`${short}.${namespace}`];
  if (found === undefined) return short === name.replace(/\.$/, '') ? undefined : [];
  const shuffled = found.map((address) => [Math.random(), address] as const).sort(([a], [b]) => a - b);
  return shuffled.map(([, address]) => address);
}

function notFound(method: Method, hostname: string): NodeJS.ErrnoException {
  const message = `${method} ENOTFOUND ${hostname}`;
  return Object.assign(new Error(message), { code: 'ENOTFOUND', syscall: method, hostname });
}
