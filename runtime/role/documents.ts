/** The documents that a gateway or message processor runs from: in a pod, one file with the resource and its group. */

import { readFile, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
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

/** The size limit of a ConfigMap. */
const maxFileBytes = 1_048_576;

/** @throws {HydrogenError} HYD_CONFIG_INVALID with every problem, one per line. */
export async function loadDocuments(files: readonly string[]): Promise<Documents> {
  const texts = await Promise.all(files.map(readText));
  return readDocuments(texts.map((text, index) => ({ text, source: files[index] ?? '' })));
}

/** The same, from texts. @throws {HydrogenError} HYD_CONFIG_INVALID */
export function readDocuments(sources: readonly { text: string; source: string }[]): Documents {
  try {
    const resolved = resolveGroups(sources.flatMap(({ text, source }) => parseDocuments(text, source)));
    return { gateways: resolved.gateways, processors: resolved.processors };
  } catch (cause) {
    if (!(cause instanceof InvalidDocuments)) throw cause;
    throw new HydrogenError('HYD_CONFIG_INVALID', `\n${cause.message}`, { cause });
  }
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID, also when the file contains no gateway or more than one. */
export async function loadGateway(file: string): Promise<GatewayConfig> {
  return only((await loadDocuments([file])).gateways, 'HydrogenGateway', file);
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID, also when the file contains no processor or more than one. */
export async function loadProcessor(file: string): Promise<ProcessorConfig> {
  return only((await loadDocuments([file])).processors, 'HydrogenMessageProcessor', file);
}

/** The changed fields that can't be applied live: the bus is already connected, and the name is already in use. */
export function restartFields<Config extends GatewayConfig | ProcessorConfig>(before: Config, after: Config): string[] {
  const [old, next] = [before, after].map((config) => {
    const { metadata, spec } = 'gateway' in config ? config.gateway : config.processor;
    const facts = Object.entries(restartFacts(config.group)).map(([field, value]) => [`${field} of the group`, value]);
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
export async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > maxFileBytes) throw new RangeError(`${size} bytes, at most ${maxFileBytes} are read`);
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `${file}: ${(cause as Error).message}`, { cause });
  }
}

function only<Config>(configs: readonly Config[], kind: string, file: string): Config {
  const [config] = configs;
  if (config === undefined || configs.length > 1) {
    throw new HydrogenError(
      'HYD_CONFIG_INVALID',
      `${file} must contain exactly one ${kind}, it contains ${configs.length}`,
    );
  }
  return config;
}
