/** How clients outside the cluster reach a gateway: an Ingress, or an HTTPRoute of the Gateway API. */
import { ApiObject } from 'cdk8s';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { type HydrogenGateway, InvalidDocuments } from '../crds/index.ts';
import { type Identity, metadataOf } from './labels.ts';

type Spec = HydrogenGateway['spec'];

/** The service that the traffic goes to. */
export interface Backend {
  readonly name: string;
  readonly port: number;
}

/**
 * Seconds of silence after which ingress-nginx may close a connection: at least an hour, or twice the ping interval if
 * that is longer. Its own default, one minute, would disconnect clients whose gateway pings less often.
 */
const leastIdleSeconds = 3600;

/** Number of matches that a rule of an HTTPRoute may have in every version of the Gateway API. */
const maxMatches = 8;

/** Adds the Ingress or HTTPRoute that the spec asks for. @throws InvalidDocuments for a path that neither can route */
export function addExposure(scope: Construct, identity: Identity, name: string, spec: Spec, backend: Backend): void {
  const { ingress, httpRoute } = spec;
  if (ingress === undefined && httpRoute === undefined) return;
  assertRoutable(identity, spec);
  if (ingress) addIngress(scope, identity, name, { spec, ingress, backend });
  if (httpRoute) addHttpRoute(scope, identity, name, { spec, httpRoute, backend });
}

interface IngressInput {
  readonly spec: Spec;
  readonly ingress: NonNullable<Spec['ingress']>;
  readonly backend: Backend;
}

function addIngress(scope: Construct, identity: Identity, name: string, input: IngressInput): void {
  const { spec, ingress, backend } = input;
  const { className, hosts, tlsSecretName } = ingress;
  const idleSeconds = `${Math.max(leastIdleSeconds, 2 * spec.heartbeat.intervalSeconds)}`;
  const annotations = {
    'nginx.ingress.kubernetes.io/proxy-read-timeout': idleSeconds,
    'nginx.ingress.kubernetes.io/proxy-send-timeout': idleSeconds,
    ...ingress.annotations,
  };
  const service = { name: backend.name, port: { number: backend.port } };
  const paths = spec.endpoints.map(({ path }) => ({ path, pathType: 'Exact', backend: { service } }));
  new k8s.KubeIngress(scope, 'Ingress', {
    metadata: metadataOf(identity, name, annotations),
    spec: {
      ...(className === undefined ? {} : { ingressClassName: className }),
      ...(tlsSecretName === undefined ? {} : { tls: [{ hosts: [...hosts], secretName: tlsSecretName }] }),
      rules: hosts.map((host) => ({ host, http: { paths } })),
    },
  });
}

interface RouteInput {
  readonly spec: Spec;
  readonly httpRoute: NonNullable<Spec['httpRoute']>;
  readonly backend: Backend;
}

function addHttpRoute(scope: Construct, identity: Identity, name: string, input: RouteInput): void {
  const { spec, httpRoute, backend } = input;
  const matches = spec.endpoints.map(({ path }) => ({ path: { type: 'Exact', value: path } }));
  const groups = Array.from({ length: Math.ceil(matches.length / maxMatches) }, (_, index) =>
    matches.slice(index * maxMatches, (index + 1) * maxMatches),
  );
  new ApiObject(scope, 'HTTPRoute', {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: metadataOf(identity, name),
    spec: {
      parentRefs: httpRoute.parentRefs,
      ...(httpRoute.hostnames && { hostnames: httpRoute.hostnames }),
      rules: groups.map((group) => ({
        matches: group,
        backendRefs: [{ name: backend.name, port: backend.port }],
        // Zero means no limit: a connection is a single request that lasts as long as its client stays.
        timeouts: { request: '0s', backendRequest: '0s' },
      })),
    },
  });
}

/** A percent-encoded slash is valid in a URL, but the API server refuses it in both kinds. */
function assertRoutable({ name }: Identity, { endpoints, ingress }: Spec): void {
  const issues = endpoints.flatMap(({ path }, index) => {
    if (!/%2f/i.test(path)) return [];
    const message = `must not contain %2F together with ${ingress ? 'ingress' : 'httpRoute'}, which cannot route it`;
    return [{ object: `HydrogenGateway/${name}`, path: `spec.endpoints[${index}].path`, message }];
  });
  if (issues.length > 0) throw new InvalidDocuments(issues);
}
