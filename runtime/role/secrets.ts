/**
 * Values of referenced secrets, as the kubelet mounts them: `<dir>/<secret name>/<key>`. Read at first use, and again
 * when the file has changed, so that a rotated secret is taken over within `rereadMs` without a restart.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HydrogenError } from '../errors.ts';

export interface SecretRef {
  readonly name: string;
  readonly key: string;
}

/** A header of a document: a value, or a reference to one. */
export interface HeaderSource {
  readonly name: string;
  readonly value?: string | undefined;
  readonly valueFrom?: { readonly secretKeyRef: SecretRef } | undefined;
}

export interface Secrets {
  /** A trailing newline is not part of the value. @throws {HydrogenError} HYD_SECRET_MISSING when it never could be read. */
  read(ref: SecretRef): string;
  /** `[name, value, ...]`, resolved. @throws {HydrogenError} HYD_SECRET_MISSING */
  headers(sources: readonly HeaderSource[]): readonly string[];
}

interface Entry {
  value: string;
  readAtMs: number;
}

const rereadMs = 5_000;

/** @param onUnreadable told when a value that was read before can't be read any more; the old one stays in use. */
export function createSecrets(dir: string, onUnreadable: (ref: SecretRef, cause: unknown) => void): Secrets {
  const entries = new Map<string, Entry>();
  const resolved = new WeakMap<readonly HeaderSource[], { headers: readonly string[]; changes: number }>();
  let changes = 0;

  function read(ref: SecretRef): string {
    const path = join(dir, ref.name, ref.key);
    const known = entries.get(path);
    const nowMs = Date.now();
    if (known !== undefined && nowMs - known.readAtMs < rereadMs) return known.value;
    try {
      const value = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
      if (value !== known?.value) changes += 1;
      entries.set(path, { value, readAtMs: nowMs });
      return value;
    } catch (cause) {
      if (known === undefined) {
        throw new HydrogenError('HYD_SECRET_MISSING', `secret ${ref.name}, key ${ref.key}: no file ${path}`, { cause });
      }
      known.readAtMs = nowMs;
      onUnreadable(ref, cause);
      return known.value;
    }
  }

  function headers(sources: readonly HeaderSource[]): readonly string[] {
    for (const { valueFrom } of sources) if (valueFrom !== undefined) read(valueFrom.secretKeyRef);
    const known = resolved.get(sources);
    if (known?.changes === changes) return known.headers;
    const flat = sources.flatMap(({ name, value, valueFrom }) => [
      name,
      valueFrom === undefined ? (value ?? '') : headerValue(name, valueFrom.secretKeyRef),
    ]);
    resolved.set(sources, { headers: flat, changes });
    return flat;
  }

  function headerValue(name: string, ref: SecretRef): string {
    const value = read(ref);
    if (isHeaderValue(value)) return value;
    throw new HydrogenError(
      'HYD_SECRET_MISSING',
      `secret ${ref.name}, key ${ref.key} can't be the value of header ${name}: it holds line breaks or control characters`,
    );
  }

  return { read, headers };
}

function isHeaderValue(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for (RFC 9110 section 5.5)
  return !/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value);
}
