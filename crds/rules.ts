/**
 * Rules that tie several fields together, as data: a CEL expression for the CRD beside the same check in TypeScript.
 *
 * A rule is attached to the node of the document that CEL calls `self`. That node must not have the default `{}`: the API
 * server evaluates a rule on the bare default when the CRD is created, before the fields inside are filled in.
 */
import type { Issue } from './invalid.ts';
import { show } from './issue.ts';
import { isWithin, join, placesOf, valueAt } from './path.ts';

/** A rule over the value at `path`. */
export interface CrossFieldRule<Self = unknown> {
  /** The node that has the rule: `[*]` for every entry of a list, `''` for the whole object. Its value is `self`. */
  readonly path: string;
  /** The field below `path` that is at fault. Default: the value at `path` itself. */
  readonly field?: string;
  /** Fields below `path` that the check reads; it is skipped while one of them is malformed. Default: all of them. */
  readonly reads?: readonly string[];
  /** The rule in CEL. */
  readonly rule: string;
  /** The error message. `{a.b}` stands for the value of `a.b` below `path`. */
  readonly message: string;
  /**
   * The rule in TypeScript: whether it holds, or why it does not, which is added to the message. Absent: it compares with
   * the previous object, which a document does not contain.
   */
  check?(self: Self): boolean | string;
}

/** A rule with the type of its `self`. */
export function rule<Self>(definition: CrossFieldRule<Self>): CrossFieldRule {
  return definition;
}

/** An issue for each rule that `resource` breaks. Places that `known` already reports as malformed are not checked again. */
export function checkRules(rules: readonly CrossFieldRule[], resource: unknown, known: readonly Issue[]): Issue[] {
  return rules.flatMap((rule) =>
    placesOf(resource, rule.path)
      .filter(({ path }) => isReadable(rule, path, known))
      .flatMap(({ path, value }) => {
        const verdict = rule.check?.(value) ?? true;
        if (verdict === true) return [];
        const message = fill(rule.message, value);
        return { path: join(path, rule.field ?? ''), message: verdict === false ? message : `${message}: ${verdict}` };
      }),
  );
}

/** Whether the values that `rule` reads at `path` are well-formed: no issue is at them, around them or inside them. */
function isReadable(rule: CrossFieldRule, path: string, known: readonly Issue[]): boolean {
  const read = (rule.reads ?? ['']).map((relative) => join(path, relative));
  return !known.some(
    (issue) =>
      isWithin(path, issue.path) || read.some((place) => isWithin(place, issue.path) || isWithin(issue.path, place)),
  );
}

function fill(message: string, self: unknown): string {
  return message.replaceAll(/\{([\w.]+)\}/g, (_, path: string) => show(valueAt(self, path)));
}
