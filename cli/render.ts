/** `hydrogen render`: the objects that run some documents, for clusters without the operator. */

import { splitDocuments } from '../crds/documents.ts';
import { InvalidDocuments, renderAll, toYaml } from '../infra/index.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { readSource } from './sources.ts';

export interface RenderFilesOptions {
  /** Files of YAML documents; `-` is standard input. */
  readonly file: readonly string[];
  /** For documents that name none. @default 'default' */
  readonly namespace?: string;
  /** For pods whose document names no image. */
  readonly image?: string;
  /** For managed NATS servers. */
  readonly natsImage?: string;
}

/** YAML for kubectl; objects of other APIs are in front, as they were written. @throws {HydrogenError} HYD_CONFIG_INVALID with every problem, one per line */
export async function renderFiles({ file, namespace, image, natsImage }: RenderFilesOptions): Promise<string> {
  const texts = await Promise.all(file.map(readSource));
  try {
    const parts = texts.map(({ text, source }) => splitDocuments(text, source, namespace));
    const resources = parts.flatMap((part) => part.resources);
    const images = { ...(image !== undefined && { image }), ...(natsImage !== undefined && { natsImage }) };
    const rendered = toYaml(renderAll(resources, images));
    // Namespaces, secrets and config maps come first, since pods need them.
    return [...parts.flatMap(({ others }) => others), rendered].filter((text) => text !== '').join('---\n');
  } catch (cause) {
    if (!(cause instanceof InvalidDocuments)) throw cause;
    throw new HydrogenError('HYD_CONFIG_INVALID', `\n${cause.message}`, { cause });
  }
}
