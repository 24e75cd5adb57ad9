/**
 * The constructs as one CommonJS file, with a door for ES modules. There is a single implementation, so that an app that
 * loads both gets the same classes; cdk8s itself is CommonJS.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build, type Metafile } from 'esbuild';

import * as constructs from '../infra/index.ts';
import { compile } from './compile.ts';

export interface BundleOptions {
  /** Folder of the project. */
  readonly root: string;
  /** Folder of the package. */
  readonly target: string;
  /** Packages that are loaded and not copied. */
  readonly external: readonly string[];
}

/** Writes index.js, index.mjs, wire.js, their declarations, and the licences of what index.js contains. */
export async function bundleConstructs({ root, target, external }: BundleOptions): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['infra/index.ts'],
    outfile: join(target, 'index.js'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: [...external],
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  writeFileSync(join(target, 'index.mjs'), moduleText());
  writeFileSync(join(target, 'index.d.mts'), "export * from './types/infra/index.js';\n");
  // Types alone: a module that has nothing.
  writeFileSync(join(target, 'wire.js'), '');
  writeDeclarations(root, join(target, 'types'), external);
  writeFileSync(join(target, 'LICENSES-THIRD-PARTY.txt'), licencesOf(metafile, root));
}

/** Names every export, because Node does not find those of a bundle. */
function moduleText(): string {
  const names = Object.keys(constructs).sort();
  const list = names.map((name) => `  ${name},\n`).join('');
  return `import constructs from './index.js';\n\nexport const {\n${list}} = constructs;\n`;
}

/**
 * Writes the declarations of the constructs, and of all that they refer to.
 * @throws when one refers to a package that an app does not install
 */
function writeDeclarations(root: string, to: string, external: readonly string[]): void {
  const from = mkdtempSync(join(tmpdir(), 'hydrogen-declarations-'));
  try {
    compile(root, 'tsconfig.constructs.json', from);
    const files = new Set(['infra/index.d.ts', 'crds/wire.d.ts']);
    for (const file of files) for (const other of copyDeclaration(from, to, file, external)) files.add(other);
  } finally {
    rmSync(from, { recursive: true });
  }
}

/** Copies one declaration, and returns those that it refers to. */
function copyDeclaration(from: string, to: string, file: string, external: readonly string[]): string[] {
  const text = readFileSync(join(from, file), 'utf8');
  mkdirSync(dirname(join(to, file)), { recursive: true });
  writeFileSync(join(to, file), text.replaceAll(/'(\.\.?\/[^']+)\.ts'/g, "'$1.js'"));
  const targets = [...text.matchAll(/(?: from |import\()'([^']+)'/g)].map(([, target = '']) => target);
  const foreign = targets.find((target) => !/^\./.test(target) && !external.includes(target.split('/', 1)[0] ?? ''));
  if (foreign !== undefined) throw new Error(`${file} refers to ${foreign}, which an app does not install`);
  return targets.filter((target) => target.startsWith('.')).map((target) => declarationOf(join(dirname(file), target)));
}

function declarationOf(source: string): string {
  return source.replace(/\.ts$/, '.d.ts');
}

function licencesOf({ inputs }: Metafile, root: string): string {
  const packages = new Set(
    Object.keys(inputs).flatMap((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
  );
  const texts = [...packages].sort().map((name) => {
    const folder = join(root, 'node_modules', name);
    const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (licence === undefined) throw new Error(`${name} is bundled and has no licence file`);
    return `${name}\n\n${readFileSync(join(folder, licence), 'utf8').trim()}\n`;
  });
  return `index.js contains parts of these packages.\n\n${texts.join('\n----\n\n')}`;
}
