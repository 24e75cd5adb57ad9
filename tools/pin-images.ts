/**
 * Gives every image that the manifests of a folder run its digest, for a release: `node tools/pin-images.ts dist
 * IMAGE=sha256:...`. A tag can be moved to other contents, a digest cannot.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param manifests YAML as `npm run synth` writes it
 * @param digests by image, with its tag
 * @throws Error for an image without a digest, and for a digest that is none
 */
export function pinImages(manifests: string, digests: ReadonlyMap<string, string>): string {
  return manifests.replace(/^( *(?:- )?image: )([^\s@]+)$/gm, (_line, head: string, image: string) => {
    const digest = digests.get(image);
    if (digest === undefined) throw new Error(`no digest of ${image} was given`);
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`${digest} of ${image} is not a digest`);
    return `${head}${image}@${digest}`;
  });
}

if (import.meta.main) {
  const [folder = '', ...pairs] = process.argv.slice(2);
  const digests = new Map(pairs.map((pair) => pair.split('=', 2) as [image: string, digest: string]));
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.yaml'))) {
    const file = join(folder, name);
    writeFileSync(file, pinImages(readFileSync(file, 'utf8'), digests));
  }
}
