/**
 * Looks at a NATS server as a group would use it, without changing anything: whether it lets this user in, has
 * JetStream, has the streams or room for them, and permits the subjects. The subjects are published to all the same,
 * since nothing else shows whether that is allowed, but in forms that no server acts on: requests that are not JSON,
 * names that nothing has, and messages for a stream of another name, which every stream refuses to store.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { headers as createHeaders, type NatsConnection, nuid, type StreamInfo } from 'nats';
import { createSubjects, type Subjects } from '../subjects.ts';
import type { AccountInfo } from './account.ts';
import { dial } from './dial.ts';
import type { NatsGroupOptions } from './group.ts';
import { KnownTokens } from './known-tokens.ts';
import { jetStreamCodes } from './requests.ts';
import {
  clientStream,
  deadLetterStream,
  differences,
  leaseBucket,
  ownerBucket,
  sentenceOf,
  type WantedStream,
  waitingStream,
} from './streams.ts';

export interface SurveyOptions extends NatsGroupOptions {
  /** Whether a processor of the group has `ordering: PerConnection`, which needs one bucket more. */
  readonly hasLanes: boolean;
}

/** What a server shows of itself and of the account. */
export interface NatsSurvey {
  /** Of the server, such as `2.14.9`. */
  readonly version: string;
  /** Bytes of headers and payload that it accepts in one message. */
  readonly maxPayloadBytes: number;
  /** Without a cluster there are no replicas. */
  readonly isClustered: boolean;
  /** The account's usage and limits, or why JetStream does not say: it is off, or may not be asked. */
  readonly account: AccountInfo | { readonly refusal: string };
  readonly streams: readonly SurveyedStream[];
  /** The number of consumers on the group's stream of client messages. */
  readonly consumers: number;
  /** Subjects that this user may not use, each as `publish to hydrogen.chat.c2s.>`. */
  readonly denied: readonly string[];
}

/** A stream that a group needs. */
export interface SurveyedStream {
  readonly name: string;
  /** Bytes that are reserved when it is created; 0: none. */
  readonly maxBytes: number;
  readonly replicas: number;
  readonly storage: 'file' | 'memory';
  /** `unknown`: the server did not say. */
  readonly state: 'present' | 'missing' | 'unknown';
  /** The settings of a present one that differ, one sentence each. */
  readonly differences: readonly string[];
}

/** A subject that a group uses: how it is written in permissions, and a harmless way to try it. */
interface Trial {
  readonly subject: string;
  readonly shown?: string;
  readonly body?: string;
}

const requestMs = 5000;
/** No stream, consumer, processor, instance or key has this name. */
const nobody = 'hydrogen-doctor';

/**
 * Connects once to one server and looks.
 * @param signal ends it while it connects
 * @throws what `dial` throws
 */
export async function surveyNats(options: SurveyOptions, server: string, signal: AbortSignal): Promise<NatsSurvey> {
  const connection = await dial(options, [server], new KnownTokens(), signal);
  try {
    const denied = new Set<string>();
    void collectDenied(connection, denied);
    const subjects = createSubjects(options.group);
    const isTried = ({ subject }: Trial): boolean => options.hasLanes || !subject.includes(subjects.ownerBucket);
    for (const one of subscriptions(subjects).filter(isTried)) listenBriefly(connection, one);
    for (const one of publications(subjects).filter(isTried))
      connection.publish(one.subject, one.body ?? '', foreignStream(one));
    await connection.flush();
    const account = await request<AccountInfo>(connection, 'INFO');
    const streams = await Promise.all(wanted(subjects, options).map((one) => surveyStream(connection, one)));
    // Refusals come before the answer to a ping that was sent after what they refuse.
    await connection.flush();
    const info = connection.info;
    const found = {
      version: info?.version ?? '',
      maxPayloadBytes: info?.max_payload ?? 0,
      isClustered: info?.cluster !== undefined,
      account: 'error' in account ? { refusal: account.error.message } : account.answer,
      streams: streams.map(({ stream }) => stream),
      consumers: streams[0]?.consumers ?? 0,
    };
    // What the server said before it answered is handed over in microtasks.
    await nextTurn();
    return { ...found, denied: [...new Set([...denied].map((one) => shownAs(subjects, one)))] };
  } finally {
    await connection.close().catch(() => {});
  }
}

function wanted(subjects: Subjects, { stream, deadLetter, leaseMs, hasLanes }: SurveyOptions): readonly WantedStream[] {
  return [
    clientStream(subjects, stream),
    deadLetterStream(subjects, stream, deadLetter),
    waitingStream(subjects, stream),
    leaseBucket(subjects, leaseMs, stream),
    ...(hasLanes ? [ownerBucket(subjects, stream)] : []),
  ];
}

async function collectDenied(connection: NatsConnection, denied: Set<string>): Promise<void> {
  for await (const { permissionContext } of connection.status()) {
    if (permissionContext !== undefined) denied.add(`${permissionContext.operation} ${permissionContext.subject}`);
  }
}

/** `publish to hydrogen.chat.c2s.>` for the subject that was tried. */
function shownAs(subjects: Subjects, denied: string): string {
  const [operation, subject = ''] = denied.split(' ');
  const known = [...publications(subjects), ...subscriptions(subjects)].find((one) => one.subject === subject);
  const shown = known?.shown ?? (subject.startsWith('_INBOX.') ? '_INBOX.>' : subject);
  return `${operation === 'publish' ? 'publish to' : 'subscribe to'} ${shown}`;
}

/** Messages for a stream that does not exist are refused by the one that does (`Nats-Expected-Stream`). */
function foreignStream({ body }: Trial): { headers?: ReturnType<typeof createHeaders> } {
  if (body !== undefined) return {};
  const headers = createHeaders();
  headers.set('Nats-Expected-Stream', nobody);
  return { headers };
}

function subscriptions(subjects: Subjects): readonly Trial[] {
  const advisory = '$JS.EVENT.ADVISORY';
  return [
    { subject: `_INBOX.${nobody}`, shown: '_INBOX.>' },
    { subject: subjects.broadcast },
    { subject: subjects.announcements },
    { subject: subjects.reports },
    { subject: subjects.address({ kind: 'fence' }), shown: subjects.allAddresses },
    { subject: subjects.instance(nobody), shown: subjects.instance(nobody).replace(nobody, '*') },
    { subject: `${advisory}.CONSUMER.CREATED.${subjects.stream}.*` },
    { subject: `${advisory}.CONSUMER.DELETED.${subjects.stream}.*` },
    { subject: `${advisory}.STREAM.DELETED.${subjects.stream}` },
    { subject: `$KV.${subjects.ownerBucket}.${nobody}.*`, shown: `$KV.${subjects.ownerBucket}.>` },
  ];
}

/** Nothing is published where gateways listen, for broadcasts and announcements. */
function publications(subjects: Subjects): readonly Trial[] {
  const { stream } = subjects;
  const noJson = 'not JSON';
  const client = subjects.clientMessage('/', nobody);
  const streams = [stream, subjects.deadLetterStream, subjects.waitingStream];
  const buckets = [subjects.leaseBucket, subjects.ownerBucket];
  const all = [...streams, ...buckets.map((bucket) => `KV_${bucket}`)];
  return [
    { subject: client, shown: subjects.allClientMessages },
    { subject: subjects.deadLetters(nobody), shown: subjects.allDeadLetters },
    { subject: subjects.waitingMessage(nobody, nobody, '/', nobody), shown: subjects.allWaiting },
    { subject: subjects.instance(nobody), shown: subjects.instance(nobody).replace(nobody, '*'), body: '' },
    { subject: `_INBOX.${nuid.next()}`, shown: '_INBOX.>', body: '' },
    ...buckets.map((bucket) => ({ subject: `$KV.${bucket}.${nobody}`, shown: `$KV.${bucket}.>` })),
    ...all.flatMap((name) => [
      { subject: `$JS.API.STREAM.CREATE.${name}`, body: noJson },
      { subject: `$JS.API.STREAM.UPDATE.${name}`, body: noJson },
    ]),
    ...all
      .filter((name) => name !== subjects.waitingStream)
      .map((name) => ({ subject: `$JS.API.STREAM.MSG.GET.${name}`, body: noJson })),
    // Dead letters have no consumers.
    ...[stream, subjects.waitingStream].flatMap((name) => [
      {
        subject: `$JS.API.CONSUMER.CREATE.${name}.${nobody}`,
        shown: `$JS.API.CONSUMER.CREATE.${name}.*`,
        body: noJson,
      },
      { subject: `$JS.API.CONSUMER.INFO.${name}.${nobody}`, shown: `$JS.API.CONSUMER.INFO.${name}.*`, body: '' },
      { subject: `$JS.API.CONSUMER.DELETE.${name}.${nobody}`, shown: `$JS.API.CONSUMER.DELETE.${name}.*`, body: '' },
      {
        subject: `$JS.API.CONSUMER.MSG.NEXT.${name}.${nobody}`,
        shown: `$JS.API.CONSUMER.MSG.NEXT.${name}.*`,
        body: '',
      },
      { subject: `$JS.ACK.${name}.${nobody}.1.1.1.1.0`, shown: `$JS.ACK.${name}.>`, body: '' },
    ]),
    { subject: `$JS.API.CONSUMER.LIST.${stream}`, body: '' },
  ];
}

function listenBriefly(connection: NatsConnection, { subject }: Trial): void {
  // A refused subscription ends by itself; the refusal is seen as an event of the connection.
  connection.subscribe(subject, { callback: () => {} });
}

type Answered<T> = { readonly answer: T } | { readonly error: { readonly code: number; readonly message: string } };

async function request<T>(connection: NatsConnection, subject: string): Promise<Answered<T>> {
  try {
    const message = await connection.request(`$JS.API.${subject}`, '', { timeout: requestMs });
    const answer = JSON.parse(message.string()) as T & { error?: { err_code?: number; description?: string } };
    if (answer.error === undefined) return { answer };
    return { error: { code: answer.error.err_code ?? 0, message: answer.error.description ?? 'refused' } };
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    return { error: { code: 0, message: code === '503' ? 'nobody answers' : (cause as Error).message } };
  }
}

async function surveyStream(
  connection: NatsConnection,
  wanted: WantedStream,
): Promise<{ stream: SurveyedStream; consumers: number }> {
  const asked = await request<StreamInfo>(connection, `STREAM.INFO.${wanted.name}`);
  const object = `stream ${wanted.name}`;
  const shape = {
    name: wanted.name,
    maxBytes: Math.max(0, wanted.max_bytes ?? 0),
    replicas: wanted.num_replicas ?? 1,
    storage: wanted.storage as 'file' | 'memory',
  };
  if ('error' in asked) {
    const state = asked.error.code === jetStreamCodes.streamNotFound ? 'missing' : 'unknown';
    return { stream: { ...shape, state, differences: [] }, consumers: 0 };
  }
  const { config, state } = asked.answer;
  const sentences = differences(config, wanted).map((one) => sentenceOf({ object, ...one }));
  return { stream: { ...shape, state: 'present', differences: sentences }, consumers: state.consumer_count };
}
