/** Which management API a command asks: the one of a URL, or that of a ready pod of a gateway, by port-forward. */

import { defaultNamespace, ports } from '../../crds/contract.ts';
import { type HydrogenGateway, parse } from '../../crds/index.ts';
import { selectorOf } from '../../infra/labels.ts';
import type { Kube } from '../../operator/kube/client.ts';
import { conditionsIn, customTypes, type KubeObject, podType } from '../../operator/kube/objects.ts';
import { HydrogenError } from '../../runtime/errors.ts';
import { secretsOfCluster } from '../doctor/secrets.ts';
import { connectKube } from '../kube.ts';
import { whileWaiting } from '../output.ts';
import { readSource } from '../sources.ts';
import type { ManagementPlace } from './management.ts';

export interface PlaceOptions {
  /** @default - a pod of a cluster */
  readonly url?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** @default - that of the context, else `default` */
  readonly namespace?: string;
  /** @default - any of the only group of the namespace */
  readonly gateway?: string;
}

/** What a token must be good for. */
type Scope = 'Read' | 'Disconnect';

/**
 * Calls `work` with the management API, and closes what was opened for it.
 * @param scopes what the token of the cluster must be good for
 * @throws {HydrogenError} HYD_CONFIG_INVALID, HYD_SECRET_MISSING, HYD_MANAGEMENT_UNREACHABLE; {ApiError}
 */
export async function withManagement<Result>(
  options: PlaceOptions,
  scopes: readonly Scope[],
  work: (place: ManagementPlace) => Promise<Result>,
): Promise<Result> {
  const token = options.tokenFile === undefined ? undefined : await tokenIn(options.tokenFile);
  if (options.url !== undefined) {
    const ca = options.caFile === undefined ? undefined : (await readSource(options.caFile)).text;
    return whileWaiting(options.url, work({ name: options.url, url: new URL(options.url), token, ca }));
  }
  const kube = connectKube(options);
  try {
    const place = placeInCluster(kube, options, token, scopes);
    const found = await whileWaiting(`the cluster at ${kube.server}`, place);
    return await whileWaiting(found.name, work(found));
  } finally {
    kube.close();
  }
}

async function tokenIn(file: string): Promise<string> {
  const { text, source } = await readSource(file);
  const token = text.replace(/\r?\n$/, '');
  if (/^[!-~]+$/.test(token)) return token;
  throw new HydrogenError('HYD_CONFIG_INVALID', `${source}: a token is one line without spaces`);
}

async function placeInCluster(
  kube: Kube,
  options: PlaceOptions,
  token: string | undefined,
  scopes: readonly Scope[],
): Promise<ManagementPlace> {
  const namespace = options.namespace ?? kube.namespace ?? defaultNamespace;
  const gateways = await chosenGateways(kube, namespace, options.gateway);
  for (const gateway of gateways) {
    const { name } = gateway.metadata;
    const labelSelector = Object.entries(selectorOf({ component: 'gateway', name, namespace }))
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    const { items } = await kube.list(podType, { namespace, labelSelector });
    const pod = items.find(isReady)?.metadata.name;
    if (pod === undefined) continue;
    return {
      name: `pod ${pod} of namespace ${namespace}`,
      url: new URL(`http://localhost:${ports.management}`),
      open: () => kube.forward({ namespace, pod, port: ports.management }),
      token: token ?? (await tokenOf(kube, gateway, scopes)),
    };
  }
  const names = gateways.map(({ metadata }) => metadata.name).join(', ');
  throw new HydrogenError(
    'HYD_MANAGEMENT_UNREACHABLE',
    `no pod of gateway ${names} in namespace ${namespace} is ready`,
  );
}

/** Any of them answers for the whole group. @throws {HydrogenError} HYD_CONFIG_INVALID */
async function chosenGateways(kube: Kube, namespace: string, name: string | undefined): Promise<HydrogenGateway[]> {
  const { items } = await kube.list(customTypes.HydrogenGateway, { namespace });
  const all = items.flatMap(gatewayIn);
  const chosen = name === undefined ? all : all.filter(({ metadata }) => metadata.name === name);
  if (chosen.length === 0) {
    const what = name === undefined ? 'no valid HydrogenGateway' : `no valid HydrogenGateway ${name}`;
    throw new HydrogenError('HYD_CONFIG_INVALID', `there is ${what} in namespace ${namespace}`);
  }
  const groups = new Set(chosen.map(({ spec }) => spec.groupRef.name));
  if (groups.size === 1) return chosen;
  const names = chosen.map(({ metadata, spec }) => `${metadata.name} (group ${spec.groupRef.name})`).join(', ');
  throw new HydrogenError(
    'HYD_CONFIG_INVALID',
    `namespace ${namespace} has several groups; choose a gateway with --gateway: ${names}`,
  );
}

function gatewayIn({ apiVersion, kind, metadata, spec }: KubeObject): HydrogenGateway[] {
  const { name, namespace } = metadata;
  const result = parse({ apiVersion, kind, metadata: { name, namespace }, spec });
  return result.ok && result.resource.kind === 'HydrogenGateway' ? [result.resource] : [];
}

function isReady(pod: KubeObject): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  return conditionsIn(pod).some(({ type, status }) => (type as string) === 'Ready' && status === 'True');
}

/** A token of the gateway that is good for this; undefined when it needs none. @throws {HydrogenError} HYD_SECRET_MISSING */
async function tokenOf(
  kube: Kube,
  { metadata, spec }: HydrogenGateway,
  scopes: readonly Scope[],
): Promise<string | undefined> {
  const { tokenSecretRef, tokens = [] } = spec.management;
  if (tokenSecretRef === undefined && tokens.length === 0) return undefined;
  const fitting = tokens.find((one) => scopes.every((scope) => one.scopes.includes(scope)));
  const ref = tokenSecretRef ?? fitting?.secretRef;
  if (ref === undefined) {
    throw new HydrogenError(
      'HYD_CONFIG_INVALID',
      `no token of gateway ${metadata.name} has the scopes ${scopes.join(' and ')}`,
    );
  }
  const answer = await secretsOfCluster(kube)(metadata.namespace, ref);
  if (answer.kind === 'value') return answer.value.replace(/\r?\n$/, '');
  throw new HydrogenError('HYD_SECRET_MISSING', `${answer.reason}; give the token with --token-file`);
}
