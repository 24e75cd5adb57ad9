/** The columns of `kubectl get` for each kind; `-o wide` adds those with priority 1. */
import type { Kind } from './resources.ts';

/** One entry of `additionalPrinterColumns`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

const text = (name: string, jsonPath: string, description: string): PrinterColumn => ({
  name,
  type: 'string',
  jsonPath,
  description,
});
const number = (name: string, jsonPath: string, description: string): PrinterColumn => ({
  name,
  type: 'integer',
  jsonPath,
  description,
});
const wide = (column: PrinterColumn): PrinterColumn => ({ ...column, priority: 1 });

const ready = text('Ready', '.status.conditions[?(@.type=="Ready")].status', 'Whether the object is as specified.');
const group = text('Group', '.spec.groupRef.name', 'Group of the object.');
const age: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since the object was created.',
};
const details: readonly PrinterColumn[] = [
  text('Reason', '.status.conditions[?(@.type=="Ready")].reason', 'Reason for the status of Ready.'),
  text('Message', '.status.conditions[?(@.type=="Ready")].message', 'Message for the status of Ready.'),
  { name: 'Paused', type: 'boolean', jsonPath: '.spec.paused', description: 'Whether the object is paused.' },
].map((column) => wide(column as PrinterColumn));
const pods: readonly PrinterColumn[] = [
  number('Replicas', '.status.replicas', 'Number of pods.'),
  number('Available', '.status.availableReplicas', 'Number of available pods.'),
];
const updated = wide(number('Updated', '.status.updatedReplicas', 'Number of pods with the current specification.'));

/** The columns of each kind, after the name. */
export const printerColumns: Readonly<Record<Kind, readonly PrinterColumn[]>> = {
  HydrogenGroup: [
    ready,
    number('Gateways', '.status.gateways', 'Number of gateways of the group.'),
    number('Processors', '.status.processors', 'Number of message processors of the group.'),
    age,
    wide(text('Storage', '.spec.stream.storage', 'Where NATS stores messages.')),
    ...details,
  ],
  HydrogenGateway: [
    ready,
    group,
    ...pods,
    text('URL', '.status.endpoints[0]', 'The first URL that clients can connect to; status.endpoints has all of them.'),
    age,
    wide(text('Mode', '.spec.mode', 'Whether clients can send messages.')),
    updated,
    ...details,
  ],
  HydrogenMessageProcessor: [
    ready,
    group,
    ...pods,
    number(
      'Pending',
      '.status.lag.pendingMessages',
      'Messages that have not been delivered to any pod yet, or that are in waiting rooms.',
    ),
    age,
    wide(text('Ordering', '.spec.delivery.ordering', 'Whether the messages of a connection are delivered in order.')),
    updated,
    ...details,
  ],
};
