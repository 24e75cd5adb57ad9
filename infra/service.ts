/** Services of the pods. */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { type Identity, type Labels, metadataOf, selectorOf } from './labels.ts';

/** A port of a service, which forwards to the container port with the same name. */
export interface ServicePort {
  readonly name: string;
  readonly port: number;
  /** Container port. @default name */
  readonly target?: string;
  /** Application protocol, for load balancers that use it. @default - none */
  readonly appProtocol?: string | undefined;
}

/** Settings of a service. */
export interface ServiceOptions {
  readonly name: string;
  readonly ports: readonly ServicePort[];
  /** @default 'ClusterIP' */
  readonly type?: string;
  readonly annotations?: Labels | undefined;
  /** Labels beyond those of every object. @default - none */
  readonly labels?: Labels;
  /** Gives the service no address of its own; each pod has a DNS name, ready or not. @default false */
  readonly isHeadless?: boolean;
}

/** Adds the service under the construct id `id`. */
export function addService(scope: Construct, id: string, identity: Identity, options: ServiceOptions): void {
  const { name, ports, annotations, labels, type = 'ClusterIP', isHeadless = false } = options;
  const metadata = metadataOf(identity, name, annotations);
  new k8s.KubeService(scope, id, {
    metadata: { ...metadata, labels: { ...labels, ...metadata.labels } },
    spec: {
      type,
      ...(isHeadless ? { clusterIp: 'None', publishNotReadyAddresses: true } : {}),
      selector: selectorOf(identity),
      ports: ports.map(({ name, port, target = name, appProtocol }) => ({
        name,
        port,
        targetPort: k8s.IntOrString.fromString(target),
        protocol: 'TCP',
        ...(appProtocol === undefined ? {} : { appProtocol }),
      })),
    },
  });
}
