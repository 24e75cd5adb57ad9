/** Plain JSON from untrusted values: copied, so that nobody else holds a reference, or frozen, so that nobody can change it. */
import type { Issue } from './invalid.ts';
import { child, entry } from './path.ts';

/** Levels of a document. */
export const deepest = 64;
const forbiddenKeys: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** A copy of `value`. Anything but plain JSON is left out and reported in `issues`; an undefined field is absent. */
export function copyJson(value: unknown, path: string, issues: Issue[], parents: readonly unknown[] = []): unknown {
  const refuse = (message: string): undefined => {
    issues.push({ path, message });
  };
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : refuse(`must be a finite number, is ${value}`);
  if (parents.includes(value)) return refuse('must not contain itself');
  if (parents.length >= deepest) return refuse(`must not be nested more than ${deepest} levels deep`);
  const line = [...parents, value];
  if (Array.isArray(value)) return value.map((item, index) => copyJson(item, entry(path, index), issues, line));
  if (!isPlainObject(value)) return refuse('must be plain data: a string, number, boolean, list or object');
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (forbiddenKeys.includes(key)) issues.push({ path: child(path, key), message: 'is not allowed as a name' });
    else if (field !== undefined) copy[key] = copyJson(field, child(path, key), issues, line);
  }
  return copy;
}

/** `value` itself, deeply frozen. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

/** Whether `value` is an object and not a list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
