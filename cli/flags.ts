/** Values of flags, checked by the same syntaxes as the fields of documents. */
import { type Command, InvalidArgumentError } from 'commander';

import { type GrammarName, grammars } from '../crds/grammar.ts';

/** A parser for commander: the value itself, if it is in this syntax. */
function inSyntax(name: GrammarName): (text: string) => string {
  const { pattern, maxLength, words } = grammars[name];
  const expression = new RegExp(pattern);
  return (text) => {
    if (text.length <= maxLength && expression.test(text)) return text;
    throw new InvalidArgumentError(`It must be ${words}.`);
  };
}

/** The name of a namespace. */
export const namespaceName = inSyntax('dnsLabel');

/** The URL of a NATS server. */
export const natsUrl = inSyntax('natsUrl');

/** The URL of an HTTP server. */
export const httpUrl = inSyntax('httpUrl');

/** The reference of an image, as far as anything but a registry can judge it. */
export function imageReference(text: string): string {
  if (text.length <= 1024 && /^[^\s]+$/.test(text)) return text;
  throw new InvalidArgumentError('It must be an image reference such as registry.example.com/hydrogen:0.1.0.');
}

/** A port from 1 to 65535. */
export function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65535)
    throw new InvalidArgumentError('a port is a number from 1 to 65535');
  return value;
}

/** A parser for whole numbers. @param max none: as large as numbers are exact */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
    throw new InvalidArgumentError(`It must be a whole number: ${range}.`);
  };
}

/** Adds the flags that choose a cluster. */
export function addClusterFlags(command: Command): Command {
  return command
    .option('--kubeconfig <file>', "how to reach the cluster (default: KUBECONFIG, else the pod's service account)")
    .option('--context <name>', 'context of the kubeconfig (default: its current one)');
}
