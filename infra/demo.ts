/** The demo: NATS, a gateway, a processor and a destination that echoes, in a namespace of their own; no operator. */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { Construct } from 'constructs';

import { clusterScoped } from './cluster-scoped.ts';
import { HydrogenGateway } from './gateway.ts';
import { HydrogenGroup } from './group.ts';
import { defaultImage } from './image.ts';
import { type Identity, labelsOf, metadataOf, selectorOf } from './labels.ts';
import { HydrogenMessageProcessor } from './processor.ts';
import { containerSecurity, podSecurity } from './security.ts';
import { addService } from './service.ts';

/** Namespace of the demo. */
export const demoNamespace = 'hydrogen-demo';

const name = 'echo';
const port = 8080;

/** Messages sent to `/echo` come back via NATS and an HTTP service. */
export class HydrogenDemo extends Construct {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    const identity: Identity = { component: 'demo', name: 'echo-destination', namespace: demoNamespace };
    const metadata = { name: demoNamespace, labels: labelsOf(identity) };
    clusterScoped(new k8s.KubeNamespace(this, 'Namespace', { metadata }));
    const group = new HydrogenGroup(this, 'Group', {
      name,
      namespace: demoNamespace,
      spec: {
        nats: { managed: { replicas: 1, storage: { size: '1Gi' } } },
        stream: { maxBytes: '256Mi' },
        deadLetter: { maxBytes: '64Mi' },
      },
    });
    new HydrogenGateway(this, 'Gateway', { name, group, spec: { endpoints: [{ path: '/echo' }] } });
    const url = `http://${identity.name}.${demoNamespace}.svc/`;
    const everything = { name: 'everything', pattern: '.*', destination: { url, reply: true } };
    new HydrogenMessageProcessor(this, 'Processor', { name, group, spec: { routing: { rules: [everything] } } });
    addDestination(this, identity);
  }
}

function addDestination(scope: Construct, identity: Identity): void {
  new k8s.KubeDeployment(scope, 'Destination', {
    metadata: metadataOf(identity, identity.name),
    spec: {
      replicas: 1,
      selector: { matchLabels: selectorOf(identity) },
      template: {
        metadata: { labels: labelsOf(identity) },
        spec: {
          automountServiceAccountToken: false,
          securityContext: podSecurity,
          containers: [
            {
              name: 'echo',
              image: defaultImage,
              imagePullPolicy: 'IfNotPresent',
              args: ['echo', '--host', '0.0.0.0', '--port', `${port}`],
              ports: [{ name: 'http', containerPort: port, protocol: 'TCP' }],
              readinessProbe: { tcpSocket: { port: k8s.IntOrString.fromString('http') }, periodSeconds: 5 },
              resources: {
                requests: { cpu: k8s.Quantity.fromString('50m'), memory: k8s.Quantity.fromString('64Mi') },
                limits: { memory: k8s.Quantity.fromString('256Mi') },
              },
              securityContext: containerSecurity,
            },
          ],
        },
      },
    },
  });
  addService(scope, 'DestinationService', identity, { name: identity.name, ports: [{ name: 'http', port: 80 }] });
}
