/** The documents that a gateway or message processor runs from: in a pod, one file with the resource and its group. */

import { readFile, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { paths } from '../../crds/contract.ts';
import {
  type HydrogenGateway,
  type HydrogenGroup,
  type HydrogenMessageProcessor,
  InvalidDocuments,
  parseDocuments,
  resolveGroups,
  restartFacts,
} from '../../crds/index.ts';
import { HydrogenError } from '../errors.ts';

export interface GatewayConfig {
  readonly group: HydrogenGroup;
  readonly gateway: HydrogenGateway;
}

export interface ProcessorConfig {
  readonly group: HydrogenGroup;
  readonly processor: HydrogenMessageProcessor;
}

/** Everything in some files, joined with its groups; `hydrogen dev` runs it. */
export interface Documents {
  readonly gateways: readonly GatewayConfig[];
  readonly processors: readonly ProcessorConfig[];
}

/** The content of a file, and its name for messages. */
export interface ConfigSource {
  readonly text: string;
  readonly source: string;
}

/** The size limit of a ConfigMap. */
const maxFileBytes = 1_048_576;

/** @throws {HydrogenError} HYD_CONFIG_INVALID with every problem, one per line. */
export async function loadDocuments(files: readonly string[]): Promise<Documents> {
  return readDocuments(await readSources(files));
}

/** The content of files. @throws {HydrogenError} HYD_CONFIG_INVALID when one cannot be read */
export function readSources(files: readonly string[]): Promise<ConfigSource[]> {
  return Promise.all(files.map(async (source) => ({ text: await readText(source), source })));
}

/** The same, from texts. @throws {HydrogenError} HYD_CONFIG_INVALID */
export function readDocuments(sources: readonly ConfigSource[]): Documents {
  try {
    const resolved = resolveGroups(sources.flatMap(({ text, source }) => parseDocuments(text, source)));
    return { gateways: resolved.gateways, processors: resolved.processors };
  } catch (cause) {
    if (!(cause instanceof InvalidDocuments)) throw cause;
    throw new HydrogenError('HYD_CONFIG_INVALID', `\n${cause.message}`, { cause });
  }
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID, also when there is no gateway or more than one. */
export function gatewayIn(sources: readonly ConfigSource[]): GatewayConfig {
  return only(readDocuments(sources).gateways, 'HydrogenGateway', sources);
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID, also when there is no processor or more than one. */
export function processorIn(sources: readonly ConfigSource[]): ProcessorConfig {
  return only(readDocuments(sources).processors, 'HydrogenMessageProcessor', sources);
}

/** The same, from a file. @throws {HydrogenError} HYD_CONFIG_INVALID */
export async function loadProcessor(file: string): Promise<ProcessorConfig> {
  return processorIn(await readSources([file]));
}

/** The changed fields that can't be applied live: the bus is already connected, and the name is already in use. */
export function restartFields<Config extends GatewayConfig | ProcessorConfig>(before: Config, after: Config): string[] {
  const [old, next] = [before, after].map((config) => {
    const { metadata, spec } = 'gateway' in config ? config.gateway : config.processor;
    const role = 'gateway' in config ? 'gateway' : 'processor';
    const facts = Object.entries(restartFacts(config.group, role)).map(([field, value]) => [
      `${field} of the group`,
      value,
    ]);
    return {
      'metadata.name': metadata.name,
      'metadata.namespace': metadata.namespace,
      'spec.groupRef.name': spec.groupRef.name,
      ...Object.fromEntries(facts),
    };
  });
  return Object.keys(old ?? {}).filter(
    (field) => !isDeepStrictEqual(Reflect.get(old ?? {}, field), Reflect.get(next ?? {}, field)),
  );
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID */
async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > maxFileBytes) throw new RangeError(`${size} bytes, at most ${maxFileBytes} are read`);
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const isOfPods = code === 'ENOENT' && file === paths.config;
    const problem = isOfPods ? 'only a pod has this file; name yours with --config' : message;
    throw new HydrogenError('HYD_CONFIG_INVALID', `${file}: ${problem}`, { cause });
  }
}

function only<Config>(configs: readonly Config[], kind: string, sources: readonly ConfigSource[]): Config {
  const [config] = configs;
  if (config === undefined || configs.length > 1) {
    throw new HydrogenError(
      'HYD_CONFIG_INVALID',
      `${sources.map(({ source }) => source).join(', ')} must contain exactly one ${kind}, it contains ${configs.length}`,
    );
  }
  return config;
}
