/** The core of a bus on NATS, which its parts share. */

import type { PublishLimits } from '../port/pressure.ts';
import type { ReportSource } from '../port/reports.ts';
import { createSubjects, type Subjects } from '../subjects.ts';
import { Announcer } from './announcements.ts';
import { Link } from './connection.ts';
import type { NatsConnectionOptions } from './dial.ts';
import { EntrySizes } from './entry-sizes.ts';
import { PayloadLimit } from './payload-limit.ts';
import { createRequests, type Requests } from './requests.ts';
import type { DeadLetterOptions, StreamOptions } from './streams.ts';

export interface NatsBusOptions extends NatsConnectionOptions {
  /** `<namespace>_<name>`. */
  readonly group: string;
  readonly stream: StreamOptions;
  readonly deadLetter: DeadLetterOptions;
  /** How long a lease outlives a killed owner. */
  readonly leaseMs: number;
  readonly publishLimits?: PublishLimits;
  /** What this process reports to the operator. @default - nothing */
  readonly report?: ReportSource | undefined;
}

export interface NatsCore {
  readonly options: NatsBusOptions;
  readonly subjects: Subjects;
  readonly link: Link;
  readonly requests: Requests;
  readonly announcer: Announcer;
  readonly limit: PayloadLimit;
  readonly entrySizes: EntrySizes;
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID when the group is not a valid token */
export function createCore(options: NatsBusOptions): NatsCore {
  const subjects = createSubjects(options.group);
  const link = new Link(options);
  const requests = createRequests(link);
  return {
    options,
    subjects,
    link,
    requests,
    announcer: new Announcer(link, requests, subjects),
    limit: new PayloadLimit(link, options.stream.maxBytes),
    entrySizes: new EntrySizes(),
  };
}
