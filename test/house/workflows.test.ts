/** The workflows, as far as they can be judged without GitHub: by a public linter, and by what they name. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { parse } from 'yaml';

import { defaultImage } from '../../infra/image.ts';
import { releaseNotes } from '../../tools/release-notes.ts';
import { findActionlint } from '../kit/actionlint.ts';
import { whyNot } from '../kit/program.ts';
import './sources.ts'; // the working directory is the root

const folder = '.github/workflows';
const workflows = readdirSync(folder).map((name) => `${folder}/${name}`);
const skip = await whyNot('actionlint', 'install it, or Go, which builds it', findActionlint);

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}
const release = parse(readFileSync(`${folder}/release.yml`, 'utf8')) as {
  readonly env: { readonly IMAGE: string };
  readonly jobs: Readonly<Record<string, Job>>;
};
const stepsOf = (job: string): readonly Step[] => release.jobs[job]?.steps ?? [];

test('actionlint finds nothing in the workflows', { skip }, async () => {
  const args = ['-no-color', '-shellcheck=', '-pyflakes=', ...workflows];
  const { stdout, status } = spawnSync(await findActionlint(), args, { encoding: 'utf8' });
  assert.deepEqual([stdout, status], ['', 0]);
});

test('what the workflows run exists', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  for (const file of workflows) {
    const text = readFileSync(file, 'utf8');
    for (const [, script = ''] of text.matchAll(/npm run ([\w:]+)/g))
      assert.ok(script in scripts, `${file}: ${script}`);
    for (const [, path = ''] of text.matchAll(/run: (?:node )?((?:tools|\.ci)\/[\w./-]+)/g))
      assert.ok(existsSync(path), `${file}: ${path}`);
  }
});

test('a release tests first, and publishes the image of the manifests for amd64 and arm64 with provenance and SBOM', () => {
  assert.equal(defaultImage.replace(/:[^:]*$/, ''), release.env.IMAGE);
  assert.ok(stepsOf('test').some(({ run }) => run === '.ci/run'));
  const build = stepsOf('image').find(({ uses }) => uses?.startsWith('docker/build-push-action@'))?.with;
  assert.deepEqual(
    [build?.platforms, build?.provenance, build?.sbom, build?.push],
    ['linux/amd64,linux/arm64', 'mode=max', true, true],
  );
  const needs = Object.values(release.jobs).map((job) => (job as { needs?: string }).needs);
  assert.deepEqual(needs, [undefined, 'test', 'image', ['image', 'packages']]);
});

test('a release publishes both packages with provenance, and can be run again', () => {
  const [published] = stepsOf('packages').filter(({ run }) => run?.includes('publish'));
  assert.equal(published?.run, 'node tools/publish.ts build/packages --access public --provenance');
  assert.equal(release.jobs.packages?.permissions?.['id-token'], 'write');
});

const changelog = `# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- One thing.

## [0.1.0] - 2026-11-01

- First.

[0.2.0]: https://example.com
`;

test('the notes of a release are its section of the changelog', () => {
  const sources = { version: '0.2.0', image: 'ghcr.io/x/hydrogen:0.2.0', changelog };
  assert.equal(releaseNotes('v0.2.0', sources), '### Added\n\n- One thing.\n');
  const first = { version: '0.1.0', image: 'ghcr.io/x/hydrogen:0.1.0', changelog };
  assert.equal(releaseNotes('v0.1.0', first), '- First.\n');
});

test('a release whose tag, package, image and changelog do not agree is refused', () => {
  const sources = { version: '0.2.0', image: 'ghcr.io/x/hydrogen:0.2.0', changelog };
  assert.throws(() => releaseNotes('v0.3.0', sources), /the tag is v0\.3\.0, and package\.json has version 0\.2\.0/);
  assert.throws(() => releaseNotes('v0.2.0', { ...sources, image: 'hydrogen:0.1.0' }), /infra\/image\.ts has/);
  const next = { ...sources, version: '0.3.0', image: 'ghcr.io/x/hydrogen:0.3.0' };
  assert.throws(() => releaseNotes('v0.3.0', next), /no section "## \[0\.3\.0\]": rename \[Unreleased\]/);
});
