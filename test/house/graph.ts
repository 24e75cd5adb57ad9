/** What every source file imports and exports, read from its text: the tree has one style, so patterns are enough. */

import { readFileSync } from 'node:fs';

import { sources } from './sources.ts';

export interface Import {
  readonly file: string;
  /** A path from the root, or the specifier of a package. */
  readonly target: string;
  /** Names as their file exports them; `*` for all of them. */
  readonly names: readonly string[];
}

export interface Declaration {
  readonly file: string;
  readonly name: string;
  readonly kind: 'type' | 'class' | 'function' | 'value';
}

export interface Graph {
  readonly files: readonly string[];
  readonly imports: readonly Import[];
  /** What files declare and export; what they pass on from others is among the imports. */
  readonly declarations: readonly Declaration[];
  /** Names that a file passes on from others. */
  readonly passedOn: readonly Declaration[];
  /** Text of a file without its comments. */
  code(file: string): string;
}

const importPattern = /^(?:import|export)\s+(?:type\s+)?([\w$*{][^'";]*?)\s+from\s+'([^']+)'/gm;
const bareImportPattern = /(?:^import|\bimport\()\s*'([^']+)'/gm;
const declarationPattern =
  /^export (?:declare )?(?:abstract )?(?:async )?(interface|type|class|function|const|let)\*? (\w+)/gm;
const passPattern = /^export\s+(?:type\s+)?\{([^}]*)\}\s+from\s+'[^']+'/gm;
const kinds: Readonly<Record<string, Declaration['kind']>> = {
  interface: 'type',
  type: 'type',
  class: 'class',
  function: 'function',
};

/** The graph of the files of this project. */
export function readGraph(): Graph {
  const files = sources();
  const texts = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));
  const code = (file: string): string => withoutComments(texts.get(file) ?? '');
  return {
    files,
    code,
    imports: files.flatMap((file) => importsOf(file, texts.get(file) ?? '')),
    declarations: files.flatMap((file) =>
      [...(texts.get(file) ?? '').matchAll(declarationPattern)].map(([, word = '', name = '']) => ({
        file,
        name,
        kind: kinds[word] ?? 'value',
      })),
    ),
    passedOn: files.flatMap((file) =>
      [...(texts.get(file) ?? '').matchAll(passPattern)].flatMap(([, list = '']) =>
        listed(list).map(([, name]) => ({ file, name, kind: 'value' as const })),
      ),
    ),
  };
}

function importsOf(file: string, text: string): Import[] {
  const withNames = [...text.matchAll(importPattern)].map(([, clause = '', target = '']) => {
    const list = /\{([\s\S]*)\}/.exec(clause)?.[1];
    return {
      file,
      target: resolve(file, target),
      names: list === undefined ? ['*'] : listed(list).map(([name]) => name),
    };
  });
  const bare = [...text.matchAll(bareImportPattern)].map(([whole, target = '']) => {
    return { file, target: resolve(file, target), names: whole.includes('(') ? ['*'] : [] };
  });
  return [...withNames, ...bare];
}

/** `[exported, local]` for each of `a, type B, c as d`. */
function listed(list: string): (readonly [string, string])[] {
  return list
    .split(',')
    .map((part) => part.trim().replace(/^type\s+/, ''))
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', local = name] = part.split(/\s+as\s+/);
      return [name, local] as const;
    });
}

function resolve(file: string, target: string): string {
  return target.startsWith('.') ? new URL(target, `file:///${file}`).pathname.slice(1) : target;
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$|\s\/\/ .*$/gm, '');
}
