/** What the doctor says about the NATS of a group: each server, then what the group needs of it. */

import { lookup } from 'node:dns/promises';

import { type HydrogenGroup, natsConnectionOf, type SecretKeyRef } from '../../crds/index.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';
import { messageOf } from '../../operator/kube/errors.ts';
import { type NatsSurvey, surveyNats } from '../../runtime/bus/nats/survey.ts';
import { consumerOptionsOf, natsOptionsOf } from '../../runtime/bus/options.ts';
import { describeCause } from '../../runtime/http/services/service.ts';
import type { Documents } from '../../runtime/role/documents.ts';
import type { Diagnosis } from './diagnosis.ts';
import { faultsOf, type GroupNeeds } from './nats-limits.ts';
import { insideAdvice, isClusterName, isInCluster, type Vantage } from './place.ts';
import type { ReadSecret } from './secrets.ts';
import { vantageOf } from './vantage.ts';

/** A group with its members. */
export interface GroupOfMembers extends Pick<Documents, 'gateways' | 'processors'> {
  readonly group: HydrogenGroup;
}

/** Where each role has a login of its own, the operator's is tried: it may do most. */
const role = 'operator';

type Attempt = { readonly server: string; readonly survey?: NatsSurvey; readonly diagnosis: Diagnosis };

/** Connects to each server once. @param onStart called with what is examined */
export async function diagnoseNats(
  members: GroupOfMembers,
  read: ReadSecret,
  onStart: (subject: string) => void,
): Promise<Diagnosis[]> {
  const { group } = members;
  const about = { objects: [`HydrogenGroup/${group.metadata.name}`] };
  const { servers, ...login } = natsConnectionOf(group, role);
  const values = await readAll(group.metadata.namespace, secretRefsIn(login), read);
  if (typeof values === 'string') {
    const message = `It is not tried, since what it logs in with is not known here: ${values}.`;
    return [{ ...about, health: 'unchecked', subject: `NATS ${servers.join(', ')}`, message, cure: 'see the secret' }];
  }
  const attempts = await Promise.all(
    servers.map(async (server): Promise<Attempt> => {
      const subject = `NATS ${withoutLogin(server)}`;
      onStart(subject);
      return { server, ...(await attempt(members, server, values, { ...about, subject })) };
    }),
  );
  const reached = attempts.find(({ survey }) => survey !== undefined);
  const faults = reached?.survey === undefined ? [] : faultsOf(asJudged(group, reached.survey), needsOf(members));
  const subject = `NATS ${withoutLogin(reached?.server ?? '')}`;
  return [...attempts.map(({ diagnosis }) => diagnosis), ...faults.map((fault) => ({ ...about, subject, ...fault }))];
}

/** The rights of one role say nothing about those of the others. */
function asJudged({ spec: { nats } }: HydrogenGroup, survey: NatsSurvey): NatsSurvey {
  const hasRoles = nats.gatewayCredentialsSecretRef !== undefined || nats.processorCredentialsSecretRef !== undefined;
  return hasRoles ? { ...survey, denied: [] } : survey;
}

async function attempt(
  members: GroupOfMembers,
  server: string,
  values: ReadonlyMap<string, string>,
  about: Pick<Diagnosis, 'objects' | 'subject'>,
): Promise<Omit<Attempt, 'server'>> {
  const { group } = members;
  const host = hostOf(server);
  try {
    await lookup(host);
  } catch (cause) {
    const reason = describeCause(cause as Error);
    return { diagnosis: unresolved(host, reason, members, about) };
  }
  const options = {
    ...natsOptionsOf(group, role, ({ name, key }) => values.get(`${name}/${key}`) ?? ''),
    // As on every connection of a member: a login in the first URL counts for all of them.
    servers: natsConnectionOf(group, role).servers,
    clientName: 'hydrogen doctor',
    hasLanes: members.processors.some(({ processor }) => processor.spec.delivery.ordering === 'PerConnection'),
  };
  try {
    const survey = await surveyNats(options, server, new AbortController().signal);
    const message = `Reached: NATS ${survey.version}.`;
    return { survey, diagnosis: { ...about, health: 'ok', message } };
  } catch (error) {
    return { diagnosis: { ...about, health: 'problem', ...explain(error) } };
  }
}

function unresolved(
  host: string,
  reason: string,
  members: GroupOfMembers,
  about: Pick<Diagnosis, 'objects' | 'subject'>,
): Diagnosis {
  if (isClusterName(host) && !isInCluster()) {
    const message = `${host} does not resolve here (${reason}); if it is a service in the cluster, that is as it should be.`;
    return { ...about, health: 'unchecked', message, cure: insideAdvice(vantageOfGroup(members)) };
  }
  const cure = 'correct spec.nats.servers; the name of a service in another namespace is SERVICE.NAMESPACE';
  return { ...about, health: 'problem', message: `The name ${host} does not resolve: ${reason}.`, cure };
}

function vantageOfGroup({ group, gateways, processors }: GroupOfMembers): Vantage {
  const member = gateways[0]?.gateway ?? processors[0]?.processor;
  const { namespace } = group.metadata;
  return member === undefined ? { namespace, workload: 'deploy/GATEWAY-gateway' } : vantageOf(member);
}

/** Why no connection came about. */
function explain(error: unknown): Pick<Diagnosis, 'message' | 'cure'> {
  const { code = '', chainedError } = error as { code?: string; chainedError?: Error & { code?: string } };
  const cause = chainedError ?? (error as Error);
  const inner = chainedError?.code ?? code;
  if (/AUTHORIZATION|AUTHENTICATION/.test(code)) {
    return {
      message: 'The server refuses the login.',
      cure: 'correct spec.nats (the login in the URL, credentialsSecretRef or tokenSecretRef) and what the secret holds',
    };
  }
  if (inner === 'CERT_HAS_EXPIRED') return { message: "The server's certificate has expired.", cure: 'renew it' };
  if (inner === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const cure = 'name the server as its certificate does, or issue one for the name in spec.nats.servers';
    return { message: `The server's certificate is for another name: ${cause.message}.`, cure };
  }
  if (/CERT|SELF_SIGNED|ISSUER/.test(inner)) {
    const cure = 'name the authority that signed it in spec.nats.tls.caSecretRef';
    return { message: `The server's certificate is not trusted: ${cause.message}.`, cure };
  }
  if (code === 'CONNECTION_REFUSED' || inner === 'ECONNREFUSED') {
    const cure = 'start NATS or correct the port; if it runs, look for a network policy or a firewall on the way';
    return { message: 'Nothing accepts connections there: connection refused.', cure };
  }
  const cure = 'see whether it is NATS that listens there, and whether it wants TLS (tls:// and spec.nats.tls)';
  return { message: `No connection came about: ${describeCause(cause)}.`, cure };
}

/** What the members need in NATS. */
function needsOf({ gateways, processors }: GroupOfMembers): GroupNeeds {
  const consumers = processors.map(({ processor }) => {
    const { ordering, partitions } = consumerOptionsOf(processor);
    // A lane that changes hands has two for a moment; unordered, one is for entries and one for single messages.
    return ordering === 'PerConnection' ? partitions + 1 : 2;
  });
  const payloads = gateways
    .filter(({ gateway }) => gateway.spec.mode === 'Bidirectional')
    .map(({ gateway }) => gateway.spec.limits.maxMessageBytes + gateway.spec.limits.maxContextBytes);
  return { consumers: consumers.reduce((sum, one) => sum + one, 0), payloadBytes: Math.max(0, ...payloads) };
}

/** The values by `name/key`, or why one is not known. */
async function readAll(
  namespace: string,
  refs: readonly SecretKeyRef[],
  read: ReadSecret,
): Promise<ReadonlyMap<string, string> | string> {
  const values = new Map<string, string>();
  for (const ref of refs) {
    const answer = await read(namespace, ref).catch((error: unknown) => ({
      kind: 'unknown' as const,
      reason: messageOf(error),
    }));
    if (answer.kind !== 'value') return answer.reason;
    values.set(`${ref.name}/${ref.key}`, answer.value.replace(/\r?\n$/, ''));
  }
  return values;
}

function hostOf(server: string): string {
  return new URL(server.includes('://') ? server : `nats://${server}`).hostname.replace(/^\[|\]$/g, '');
}

function withoutLogin(server: string): string {
  return server.replace(/\/\/[^@/]*@/, '//');
}
