/** How clients outside the cluster reach a gateway: its service, and an ingress or a route of the Gateway API. */
import { Type } from 'typebox';

import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, FreeText, Integer, List, ListSet, StringEnum, StringMap, Text, withDefault } from './schema.ts';

const annotations = (description: string) =>
  Type.Optional(StringMap(FreeText(8192), { description, maxProperties: 32 }));

const service = Fields(
  {
    type: withDefault(
      StringEnum(['ClusterIP', 'NodePort', 'LoadBalancer'], {
        description: 'Type of the Kubernetes service that clients connect to. Default ClusterIP.',
      }),
      'ClusterIP',
    ),
    annotations: annotations('Annotations of the service, for example for a load balancer.'),
  },
  { description: 'The Kubernetes service that clients connect to.' },
);

const ingress = Fields(
  {
    className: Type.Optional(
      Text('dnsName', { description: "Name of the ingress class. Absent: the cluster's default class." }),
    ),
    hosts: ListSet(Text('ingressHost'), {
      description: 'Host names under which the endpoints are served.',
      minItems: 1,
      maxItems: 32,
    }),
    tlsSecretName: Type.Optional(
      Text('dnsName', { description: 'Secret with the TLS certificate of the hosts. Absent: no TLS.' }),
    ),
    annotations: annotations('Annotations of the ingress, for example time-outs for its controller.'),
  },
  { description: 'Exposes the endpoints through an Ingress. At most one of ingress and httpRoute is set.' },
);

const parentRef = Fields(
  {
    group: Type.Optional(
      Text('dnsName', { description: 'API group of the parent. Absent: gateway.networking.k8s.io.' }),
    ),
    kind: Type.Optional(FreeText(63, { minLength: 1, description: 'Kind of the parent. Absent: Gateway.' })),
    namespace: Type.Optional(
      Text('dnsLabel', { description: 'Namespace of the parent. Absent: that of this object.' }),
    ),
    name: Text('dnsName', { description: 'Name of the parent.' }),
    sectionName: Type.Optional(Text('dnsName', { description: 'Name of a listener of the parent. Absent: all.' })),
    port: Type.Optional(Integer(1, 65535, { description: 'Port of a listener of the parent. Absent: all.' })),
  },
  { description: 'A parent of the route.' },
);

const httpRoute = Fields(
  {
    parentRefs: List(parentRef, {
      description: 'The Gateways of the Gateway API that the route attaches to.',
      minItems: 1,
      maxItems: 16,
    }),
    hostnames: Type.Optional(
      ListSet(Text('ingressHost'), {
        description: 'Host names under which the endpoints are served. Absent: those of the parents.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
  },
  { description: 'Exposes the endpoints through an HTTPRoute. At most one of ingress and httpRoute is set.' },
);

/** The fields `service`, `ingress` and `httpRoute`. */
export const exposureFields = {
  service: withDefault(service, {}),
  ingress: Type.Optional(ingress),
  httpRoute: Type.Optional(httpRoute),
};

/** The rules between them. */
export const exposureRules: readonly CrossFieldRule[] = [
  rule<{ ingress?: unknown; httpRoute?: unknown }>({
    path: 'spec',
    reads: [],
    rule: '!has(self.ingress) || !has(self.httpRoute)',
    message: 'must have at most one of ingress, httpRoute',
    check: (self) => self.ingress === undefined || self.httpRoute === undefined,
  }),
];
