/** A member of a JSON object as it was written: numbers with all their digits, and names in their order. */

/**
 * The source text of the value of `name`; undefined when there is none. Of several, the last counts, as in `JSON.parse`.
 * @param json an object that `JSON.parse` accepts; for anything else the result means nothing
 */
export function memberSource(json: string, name: string): string | undefined {
  let found: string | undefined;
  let at = skipSpace(json, 0) + 1;
  for (;;) {
    at = skipSpace(json, at);
    if (json[at] !== '"') return found;
    const keyEnd = skipValue(json, at);
    const valueStart = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const valueEnd = skipValue(json, valueStart);
    if (JSON.parse(json.slice(at, keyEnd)) === name) found = json.slice(valueStart, valueEnd);
    at = skipSpace(json, valueEnd) + 1;
  }
}

function skipSpace(json: string, start: number): number {
  let at = start;
  while (isSpace(json.charCodeAt(at))) at += 1;
  return at;
}

/** Where the value that begins at `start` ends. */
function skipValue(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    switch (json[at]) {
      case '"':
        at = stringEnd(json, at);
        break;
      case '{':
      case '[':
        depth += 1;
        continue;
      case '}':
      case ']':
        if (depth === 0) return at;
        depth -= 1;
        break;
      case ',':
      case ' ':
      case '\t':
      case '\n':
      case '\r':
        if (depth === 0) return at;
        continue;
      default:
        continue;
    }
    if (depth === 0) return at + 1;
  }
  return json.length;
}

/** Position of the closing quote of the string that begins at `start`. */
function stringEnd(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at;
}

/** Space, tab, line feed or carriage return (RFC 8259 section 2). */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}
