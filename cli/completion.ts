/**
 * `hydrogen completion`: scripts that complete commands, flags and the words that a flag takes, from the definitions of the
 * commands. Nothing of ours runs while somebody types.
 */
import type { Command } from 'commander';

/** The shells whose scripts there are. */
export const shells = ['bash', 'zsh', 'fish'] as const;
export type CompletedShell = (typeof shells)[number];

/** What can follow a command: `dlq list` has the path `dlq list`, the program an empty one. */
interface Place {
  readonly path: string;
  readonly words: readonly Word[];
  /** The words that a flag takes; empty: files. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** The letters of flags that have one. */
  readonly shorts: ReadonlyMap<string, string>;
}

interface Word {
  readonly text: string;
  readonly description: string;
}

/** The script for a shell. */
export function completion(program: Command, shell: CompletedShell): string {
  const places = placesOf(program, '');
  if (shell === 'fish') return fish(program.name(), places);
  const script = bash(program.name(), places);
  if (shell === 'bash') return script;
  // zsh runs completions of bash; arrays count from 0 and unquoted words are split only when it emulates sh.
  const emulated = script.replace(/^(_\w+\(\) \{)$/m, '$1\n  emulate -L sh');
  return `autoload -U +X bashcompinit && bashcompinit\n${emulated}`;
}

function placesOf(command: Command, path: string): Place[] {
  const flags = command.options.filter(({ hidden }) => !hidden);
  const words = [
    ...command.commands.map((one) => ({ text: one.name(), description: one.description() })),
    ...flags.flatMap(({ long, description }) => (long ? [{ text: long, description }] : [])),
    { text: '--help', description: 'display help for command' },
  ];
  const values = new Map(
    flags
      .filter(({ required, optional }) => required || optional)
      .flatMap(({ long, short, argChoices = [] }) => [long, short].map((flag) => [flag ?? '', argChoices] as const))
      .filter(([flag]) => flag !== ''),
  );
  const shorts = new Map(flags.flatMap(({ long, short }) => (long && short ? [[long, short.slice(1)] as const] : [])));
  const arguments_ = command.registeredArguments.flatMap(({ argChoices = [] }) =>
    argChoices.map((text) => ({ text, description: '' })),
  );
  return [
    { path, words: [...arguments_, ...words], values, shorts },
    ...command.commands.flatMap((one) => placesOf(one, `${path} ${one.name()}`.trim())),
  ];
}

function bash(name: string, places: readonly Place[]): string {
  const known = places.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const values = places.flatMap(({ path, values }) =>
    [...values].map(([flag, words]) => `    '${path} ${flag}') reply '${words.join(' ')}'; return ;;`),
  );
  const words = places.map(({ path, words }) => `    '${path}') reply '${words.map(({ text }) => text).join(' ')}' ;;`);
  return `# ${name} completion: source this, or put it where your shell looks for completions.
_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path= word known index
  reply() { if [ -n "$1" ]; then COMPREPLY=($(compgen -W "$1" -- "$current")); else COMPREPLY=($(compgen -f -- "$current")); fi; }
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    for known in ${known.join(' ')}; do
      if [ "$known" = "\${path:+$path }$word" ]; then path=$known; break; fi
    done
  done
  case "$path $previous" in
${values.join('\n')}
  esac
  case "$path" in
${words.join('\n')}
  esac
}
complete -o default -F _${name} ${name}
`;
}

function fish(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words, values, shorts }) => {
    const steps = path.split(' ').filter((step) => step !== '');
    const inside = places.filter(
      (place) => place.path !== path && place.path.startsWith(path === '' ? '' : `${path} `),
    );
    const deeper = [...new Set(inside.map((place) => place.path.split(' ')[steps.length] ?? ''))];
    const seen = steps.map((step) => `__fish_seen_subcommand_from ${step}`);
    const unseen = deeper.length > 0 ? [`not __fish_seen_subcommand_from ${deeper.join(' ')}`] : [];
    const condition = [...seen, ...unseen].join('; and ');
    return words.map(({ text, description }) => {
      const what = `-d '${description.replaceAll(/['\\]/g, '\\$&')}'`;
      if (!text.startsWith('--')) return `complete -c ${name} -f -n '${condition}' -a ${text} ${what}`;
      const choices = values.get(text);
      const argument = choices === undefined ? '' : choices.length > 0 ? ` -x -a '${choices.join(' ')}'` : ' -r';
      const letter = shorts.get(text);
      const short = letter === undefined ? '' : ` -s ${letter}`;
      return `complete -c ${name} -n '${condition}' -l ${text.slice(2)}${short}${argument} ${what}`;
    });
  });
  return `# ${name} completion: put it into ~/.config/fish/completions/${name}.fish.\n${lines.join('\n')}\n`;
}
