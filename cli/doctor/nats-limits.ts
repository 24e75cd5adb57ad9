/** What a group needs of a NATS server and its account, compared with what a survey found. Pure. */

import type { AccountInfo } from '../../runtime/bus/nats/account.ts';
import type { NatsSurvey, SurveyedStream } from '../../runtime/bus/nats/survey.ts';

/** A fault of a server or an account, and what to do about it. */
export interface NatsFault {
  readonly health: 'warning' | 'problem';
  readonly message: string;
  readonly cure: string;
}

/** What the members of a group need. */
export interface GroupNeeds {
  /** Consumers on the stream of client messages. */
  readonly consumers: number;
  /** The largest message that a gateway takes, with its context. */
  readonly payloadBytes: number;
}

const oldest = [2, 10] as const;
const mebibyte = 1024 * 1024;
/** What a gateway adds to a message and its context at most. */
const envelopeBytes = 4096;

/** Every fault, the most fundamental first. */
export function faultsOf(survey: NatsSurvey, needs: GroupNeeds): NatsFault[] {
  const { account, streams } = survey;
  const old = versionFault(survey.version);
  if ('refusal' in account) return [...old, ...permissionFaults(survey), ...jetStreamFaults(survey, account.refusal)];
  return [
    ...old,
    ...permissionFaults(survey),
    ...replicaFaults(survey),
    ...streams.flatMap(({ differences }) => differences.map(differenceFault)),
    ...accountFaults(account, streams),
    ...consumerFaults(account, survey, needs),
    ...payloadFaults(survey, needs),
  ];
}

function versionFault(version: string): NatsFault[] {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return [];
  const message = `The server is ${version}; hydrogen needs ${oldest.join('.')} or newer.`;
  return [{ health: 'problem', message, cure: 'upgrade NATS' }];
}

function jetStreamFaults({ denied }: NatsSurvey, refusal: string): NatsFault[] {
  if (denied.includes('publish to $JS.API.INFO')) {
    const message =
      'This user may not ask for the limits of its account (publish to $JS.API.INFO), so they are not compared.';
    return [{ health: 'warning', message, cure: 'permit it, or compare them with spec.stream by hand' }];
  }
  // Without an inbox no answer arrives, which says nothing about JetStream.
  if (denied.includes('subscribe to _INBOX.>')) return [];
  return [
    {
      health: 'problem',
      message: `JetStream does not answer: ${refusal}.`,
      cure: 'switch it on in the server (jetstream {} in its configuration, or -js) and for this account',
    },
  ];
}

function permissionFaults({ denied }: NatsSurvey): NatsFault[] {
  const needed = denied.filter((one) => one !== 'publish to $JS.API.INFO');
  if (needed.length === 0) return [];
  const cure = "add them to the permissions of the user; docs/operations.md lists all that a group's user needs";
  return [{ health: 'problem', message: `This user lacks permissions: ${needed.join(', ')}.`, cure }];
}

function replicaFaults({ isClustered, streams }: NatsSurvey): NatsFault[] {
  const replicas = Math.max(...streams.map((one) => one.replicas));
  if (isClustered || replicas <= 1) return [];
  const message = `spec.stream.replicas is ${replicas}, and the server is not part of a cluster.`;
  return [{ health: 'problem', message, cure: 'set it to 1, or run NATS as a cluster' }];
}

function differenceFault(sentence: string): NatsFault {
  const cure =
    'nothing, if you have just changed the group: its pods and the operator adapt what can be changed in place';
  return { health: 'warning', message: `The ${sentence}.`, cure };
}

function accountFaults(account: AccountInfo, streams: readonly SurveyedStream[]): NatsFault[] {
  const missing = streams.filter(({ state }) => state === 'missing');
  const { max_streams = -1, max_storage = -1, max_memory = -1 } = account.limits ?? {};
  const room = (used = 0, most: number): number => (most < 0 ? Number.POSITIVE_INFINITY : Math.max(0, most - used));
  const needed = (storage: string): number =>
    missing.filter((one) => one.storage === storage).reduce((sum, one) => sum + one.maxBytes * one.replicas, 0);
  const freeStreams = room(account.streams, max_streams);
  const faults: NatsFault[] = [];
  if (missing.length > freeStreams) {
    faults.push({
      health: 'problem',
      message: `The group needs ${missing.length} more streams (${missing.map(({ name }) => name).join(', ')}), and the account has room for ${freeStreams} of its ${max_streams}.`,
      cure: 'raise max_streams of the account, or delete streams that nobody needs',
    });
  }
  for (const [storage, words, free] of [
    ['file', 'in files', room(account.reserved_storage, max_storage)],
    ['memory', 'in memory', room(account.reserved_memory, max_memory)],
  ] as const) {
    if (needed(storage) <= free) continue;
    faults.push({
      health: 'problem',
      message: `The streams of the group reserve ${mebibytes(needed(storage))} ${words}, and the account has ${mebibytes(free)} left.`,
      cure: `raise the ${storage === 'file' ? 'max_file' : 'max_mem'} of the account, or lower spec.stream.maxBytes and spec.deadLetter.maxBytes`,
    });
  }
  return faults;
}

function consumerFaults({ consumers = 0, limits }: AccountInfo, survey: NatsSurvey, needs: GroupNeeds): NatsFault[] {
  const { max_consumers = -1 } = limits ?? {};
  if (max_consumers <= 0) return [];
  const more = Math.max(0, needs.consumers - survey.consumers);
  const free = Math.max(0, max_consumers - consumers);
  if (more <= free) return [];
  return [
    {
      health: 'problem',
      message: `The processors need ${more} more consumers, and the account has room for ${free} of its ${max_consumers}.`,
      cure: 'raise max_consumers of the account, or lower spec.delivery.partitions of ordered processors',
    },
  ];
}

function payloadFaults({ maxPayloadBytes }: NatsSurvey, { payloadBytes }: GroupNeeds): NatsFault[] {
  const needed = payloadBytes + envelopeBytes;
  if (maxPayloadBytes === 0 || needed <= maxPayloadBytes) return [];
  return [
    {
      health: 'warning',
      message: `The largest message that a gateway takes needs ${needed} bytes with its context, and the server takes ${maxPayloadBytes}: its sender would be disconnected.`,
      cure: 'raise max_payload of the server, or lower spec.limits.maxMessageBytes of the gateway',
    },
  ];
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / mebibyte)} MiB`;
}
