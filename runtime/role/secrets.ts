/**
 * Values of referenced secrets, as the kubelet mounts them: `<dir>/<secret name>/<key>`. Read at first use, and again
 * when the file has changed, so that a rotated secret is in use within `rereadMs` without a restart.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isHeaderValue } from '../../crds/headers.ts';
import type { Header, SecretKeyRef } from '../../crds/index.ts';
import { HydrogenError } from '../errors.ts';

interface KnownValue {
  value: string;
  readAtMs: number;
}

interface ResolvedHeaders {
  readonly flat: readonly string[];
  /** The number of changes to any value at the time when they were resolved. */
  readonly changes: number;
}

const rereadMs = 5_000;

export class MountedSecrets {
  readonly #dir: string;
  readonly #onUnreadable: (ref: SecretKeyRef, cause: unknown) => void;
  readonly #values = new Map<string, KnownValue>();
  readonly #resolved = new WeakMap<readonly Header[], ResolvedHeaders>();
  #changes = 0;

  /** @param onUnreadable called when a value that was read before cannot be read any more; the old one stays in use. */
  constructor(dir: string, onUnreadable: (ref: SecretKeyRef, cause: unknown) => void) {
    this.#dir = dir;
    this.#onUnreadable = onUnreadable;
  }

  /** The value without a trailing newline. @throws {HydrogenError} HYD_SECRET_MISSING when it could never be read. */
  read(ref: SecretKeyRef): string {
    const path = join(this.#dir, ref.name, ref.key);
    const known = this.#values.get(path);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.readAtMs < rereadMs) return known.value;
    try {
      const value = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
      if (value !== known?.value) this.#changes += 1;
      this.#values.set(path, { value, readAtMs: nowMs });
      return value;
    } catch (cause) {
      if (known === undefined) throw unusable(ref, `there is no file ${path}`, cause);
      known.readAtMs = nowMs;
      this.#onUnreadable(ref, cause);
      return known.value;
    }
  }

  /**
   * `[name, value, ...]`, with references replaced by values: the same array for as long as no value has changed.
   * @throws {HydrogenError} HYD_SECRET_MISSING, also when a value cannot be sent in a header
   */
  headers(headers: readonly Header[]): readonly string[] {
    for (const { valueFrom } of headers) if (valueFrom !== undefined) this.read(valueFrom.secretKeyRef);
    const known = this.#resolved.get(headers);
    if (known?.changes === this.#changes) return known.flat;
    const flat = headers.flatMap(({ name, value, valueFrom }) => [
      name,
      valueFrom === undefined ? (value ?? '') : this.#headerValue(name, valueFrom.secretKeyRef),
    ]);
    this.#resolved.set(headers, { flat, changes: this.#changes });
    return flat;
  }

  #headerValue(name: string, ref: SecretKeyRef): string {
    const value = this.read(ref);
    if (isHeaderValue(value)) return value;
    throw unusable(
      ref,
      `header ${name} cannot carry it, since it holds a line break, a control character or a character outside Latin-1`,
    );
  }
}

function unusable({ name, key }: SecretKeyRef, reason: string, cause?: unknown): HydrogenError {
  return new HydrogenError('HYD_SECRET_MISSING', `secret ${name}, key ${key}: ${reason}`, { cause });
}
