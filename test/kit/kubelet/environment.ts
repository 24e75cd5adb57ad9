/** Command line and variables of a container, translated for a process on this machine. */

import { type DataStore, readField, readKey } from './data.ts';
import type { Image, Surroundings } from './images.ts';
import { type Container, NotYet, type Pod, type Variable } from './objects.ts';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface CommandOptions {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: Image;
  readonly store: DataStore;
  readonly surroundings: Surroundings;
  readonly localise: (text: string) => string;
  /** Further variables. */
  readonly env: Readonly<Record<string, string>>;
}

/** The command of the container. @throws {NotYet} when a value is missing, or the container needs something unsupported */
export function commandOf(options: CommandOptions): Command {
  refuseUnknown(options);
  const { container, image, surroundings, localise } = options;
  const env = environmentOf(options);
  const args = (container.args ?? []).map((arg) => localise(expand(arg, env)));
  const [file = '', ...first] = container.command ? argvOf(image, container.command.map(localise)) : entryOf(image);
  return { file, args: [...first, ...args, ...(image.args?.(surroundings) ?? [])], env };
}

/** The command line of a hook of the container. */
export function hookOf(image: Image, command: readonly string[], localise: (text: string) => string): string[] {
  return argvOf(image, command.map(localise));
}

/** Fields that this kubelet does not support are refused. */
function refuseUnknown({ pod: { spec }, container }: CommandOptions): void {
  const { initContainers, restartPolicy = 'Always', hostNetwork } = spec;
  const unknown = {
    initContainers: initContainers !== undefined,
    [`restartPolicy ${restartPolicy}`]: restartPolicy !== 'Always',
    hostNetwork: hostNetwork === true,
    envFrom: container.envFrom !== undefined,
    subPath: container.volumeMounts?.some(({ subPath }) => subPath !== undefined) === true,
    'another hook than preStop.exec': Object.entries(container.lifecycle ?? {}).some(
      ([name, hook]) => name !== 'preStop' || hook.exec === undefined,
    ),
  };
  const found = Object.keys(unknown).filter((name) => unknown[name as keyof typeof unknown]);
  if (found.length > 0) throw new NotYet('CreateContainerError', `the kubelet of the tests lacks ${found.join(', ')}`);
}

function argvOf(image: Image, [name = '', ...args]: readonly string[]): string[] {
  const script = name === 'node' && image.script !== undefined ? args.indexOf(image.script) : -1;
  if (script !== -1) {
    const [node = '', ...own] = image.argv;
    return [node, ...args.slice(0, script), ...own, ...args.slice(script + 1)];
  }
  if (name === 'sh' && image.hasShell === true) return ['/bin/sh', ...args];
  if (name !== image.command) throw new NotYet('RunContainerError', `the image has no ${name}, but ${image.command}`);
  return [...entryOf(image), ...args];
}

function entryOf({ argv: [program = '', ...rest], flags = [] }: Image): string[] {
  return [program, ...flags, ...rest];
}

function environmentOf({ pod, container, image, store, surroundings, localise, env }: CommandOptions): Command['env'] {
  const values: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    HOSTNAME: pod.metadata.name,
    ...image.env?.(surroundings),
    ...env,
  };
  for (const variable of container.env ?? []) {
    const value = variable.valueFrom
      ? valueFrom(variable.valueFrom, pod, surroundings.address, store)
      : expand(variable.value ?? '', values);
    if (value !== undefined) values[variable.name] = localise(value);
  }
  return values;
}

function valueFrom(
  { fieldRef, secretKeyRef, configMapKeyRef }: NonNullable<Variable['valueFrom']>,
  pod: Pod,
  address: string,
  store: DataStore,
): string | undefined {
  const { namespace } = pod.metadata;
  if (fieldRef) return readField(pod, address, fieldRef);
  if (secretKeyRef) return readKey(store, 'Secret', { namespace, ...secretKeyRef })?.toString();
  return configMapKeyRef && readKey(store, 'ConfigMap', { namespace, ...configMapKeyRef })?.toString();
}

/** `$(NAME)` is the variable of that name, if there is one; `$$` is a dollar. */
function expand(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([-.\w]+)\)/g, (match, name: string | undefined) =>
    name === undefined ? '$' : (values[name] ?? match),
  );
}
