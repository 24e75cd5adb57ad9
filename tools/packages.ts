/**
 * Writes the two packages that are published, as folders for `npm pack` and `npm publish`: `npm run packages`.
 * docs/decisions/2026-11-27-two-packages.md says why there are two.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { compile } from './compile.ts';
import { bundleConstructs } from './constructs-bundle.ts';

const root = join(import.meta.dirname, '..');

interface RootManifest {
  readonly description: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as RootManifest;
const { version, license, repository, homepage, bugs, keywords } = manifest;
/** What both packages say about the project. */
const common = { version, license, repository, homepage, bugs, keywords };
const pages = ['README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md'];

/** The oldest Node that the command runs on. */
const oldestNode = '22.19';

/**
 * What an app has already: one copy of each must serve the app and the constructs. The oldest version is the one that has
 * all that they use.
 */
const peers = { cdk8s: '^2.68.11', constructs: '^10.3.0' };
/** What the constructs bring: the classes that they are built on, and YAML. */
const libraries = { 'cdk8s-plus-28': '^2.5.0', yaml: manifest.dependencies.yaml };

/** Writes `hydrogen-gateway` and `hydrogen-gateway-cli` below `folder`. */
export async function writePackages(folder: string): Promise<void> {
  await writeConstructs(join(folder, 'hydrogen-gateway'));
  writeCommand(join(folder, 'hydrogen-gateway-cli'));
}

/** The constructs for both module systems, and dist/. */
async function writeConstructs(target: string): Promise<void> {
  start(target, [...pages, 'dist']);
  await bundleConstructs({ root, target, external: Object.keys({ ...peers, ...libraries }) });
  write(target, {
    name: 'hydrogen-gateway',
    description: `${manifest.description}: constructs for cdk8s`,
    ...common,
    engines: { node: '>=20' },
    main: './index.js',
    types: './types/infra/index.d.ts',
    exports: {
      '.': {
        import: { types: './index.d.mts', default: './index.mjs' },
        default: { types: './types/infra/index.d.ts', default: './index.js' },
      },
      './wire': { types: './types/crds/wire.d.ts', default: './wire.js' },
      './package.json': './package.json',
      './dist/*': './dist/*',
    },
    dependencies: libraries,
    peerDependencies: peers,
  });
}

/** The command, which runs every role. */
function writeCommand(target: string): void {
  start(target, [...pages, 'cli/hydrogen.js', 'examples/echo.yaml']);
  compile(root, 'tsconfig.build.json', join(target, 'build'));
  write(target, {
    name: 'hydrogen-gateway-cli',
    description: `${manifest.description}: the command hydrogen`,
    ...common,
    type: 'module',
    engines: { node: `>=${oldestNode}` },
    // npx runs the command that has the name of its package.
    bin: manifest.bin,
    exports: { './package.json': './package.json' },
    dependencies: manifest.dependencies,
  });
}

/** An empty folder with copies of `parts`. */
function start(target: string, parts: readonly string[]): void {
  rmSync(target, { recursive: true, force: true });
  for (const part of parts) {
    mkdirSync(dirname(join(target, part)), { recursive: true });
    cpSync(join(root, part), join(target, part), { recursive: true });
  }
}

function write(target: string, value: object): void {
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(value, null, 2)}\n`);
}

if (import.meta.main) await writePackages(join(root, 'build/packages'));
