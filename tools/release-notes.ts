/**
 * Prints the notes of a release, which are its section of CHANGELOG.md: `node tools/release-notes.ts v0.2.0`. Fails when
 * something that names the release does not agree with the tag, so that nothing is published under two versions.
 */
import { readFileSync } from 'node:fs';

/** What a release is made of, as far as it names a version. */
export interface ReleaseSources {
  /** `version` of package.json. */
  readonly version: string;
  /** The image of the manifests. */
  readonly image: string;
  /** Text of CHANGELOG.md. */
  readonly changelog: string;
}

/** The notes for a tag `vX.Y.Z`. @throws Error that says what to change */
export function releaseNotes(tag: string, { version, image, changelog }: ReleaseSources): string {
  if (tag !== `v${version}`) throw new Error(`the tag is ${tag}, and package.json has version ${version}`);
  if (!image.endsWith(`:${version}`))
    throw new Error(`infra/image.ts has ${image}, and package.json version ${version}`);
  const [, ...sections] = changelog.split(/^## (?=\[)/m);
  const section = sections.find((text) => text.startsWith(`[${version}]`));
  if (section === undefined) throw new Error(`CHANGELOG.md has no section "## [${version}]": rename [Unreleased]`);
  const notes = section
    .replace(/^.*\n/, '')
    .replace(/^\[[^\]]+\]: .*$/gm, '')
    .trim();
  if (notes === '') throw new Error(`the section [${version}] of CHANGELOG.md is empty`);
  return `${notes}\n`;
}

/** Without imports of packages: this runs before `npm ci`. */
function readSources(root: URL): ReleaseSources {
  const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const [, image = ''] = /defaultImage = '([^']*)'/.exec(read('infra/image.ts')) ?? [];
  return { version, image, changelog: read('CHANGELOG.md') };
}

if (import.meta.main) {
  try {
    process.stdout.write(releaseNotes(process.argv[2] ?? '', readSources(new URL('../', import.meta.url))));
  } catch (error) {
    console.error(`release notes: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
