/** The error for documents that cannot be used. */

/** One problem: where it is, and what is expected there. */
export interface Issue {
  /** The place as a user would write it: `spec.endpoints[0].path`. Empty for the document as a whole. */
  readonly path: string;
  readonly message: string;
}

/** One problem with a document, and where the document came from, if known. */
export interface DocumentIssue extends Issue {
  /** File name, or whatever the text came from. */
  readonly source?: string;
  /** Position of the document in its source, from 1. */
  readonly document?: number;
  /** Line in the source, from 1. */
  readonly line?: number;
  /** `HydrogenGateway/chat`, or as much of it as the document has. */
  readonly object?: string;
}

/** Thrown for documents that cannot be used; `message` lists every problem on a line of its own. */
export class InvalidDocuments extends Error {
  readonly issues: readonly DocumentIssue[];

  constructor(issues: readonly DocumentIssue[]) {
    super(issues.map(describe).join('\n'));
    this.name = 'InvalidDocuments';
    this.issues = issues;
  }
}

/** `app.yaml:12 HydrogenGateway/chat: spec.heartbeat.timeoutSeconds: must exceed ...` */
function describe({ source, line, object, path, message }: DocumentIssue): string {
  const place = source === undefined ? undefined : `${source}${line === undefined ? '' : `:${line}`}`;
  const origin = [place, object].filter((part) => part !== undefined).join(' ');
  return [origin, path, message].filter((part) => part !== '').join(': ');
}
