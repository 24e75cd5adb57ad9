/** What `kubectl get` shows of each kind; `-o wide` adds the columns of priority 1. */
import type { Kind } from './kinds.ts';

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

const ready = text('Ready', '.status.conditions[?(@.type=="Ready")].status', 'Whether all is as it was asked for.');
const group = text('Group', '.spec.groupRef.name', 'The group that it belongs to.');
const age: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since it was created.',
};
const details: readonly PrinterColumn[] = [
  text('Reason', '.status.conditions[?(@.type=="Ready")].reason', 'Why it is ready or not, in one word.'),
  text('Message', '.status.conditions[?(@.type=="Ready")].message', 'Why it is ready or not.'),
  { name: 'Paused', type: 'boolean', jsonPath: '.spec.paused', description: 'Whether the operator leaves it alone.' },
].map((column) => wide(column as PrinterColumn));
const pods: readonly PrinterColumn[] = [
  number('Replicas', '.status.replicas', 'Number of pods.'),
  number('Available', '.status.availableReplicas', 'Number of pods that can be counted on.'),
];
const updated = wide(number('Updated', '.status.updatedReplicas', 'Number of pods of the current specification.'));

/** The columns of each kind, after the name. */
export const printerColumns: Readonly<Record<Kind, readonly PrinterColumn[]>> = {
  HydrogenGroup: [
    ready,
    number('Gateways', '.status.gateways', 'Number of gateways of the group.'),
    number('Processors', '.status.processors', 'Number of message processors of the group.'),
    age,
    wide(text('Storage', '.spec.stream.storage', 'Where NATS keeps messages.')),
    ...details,
  ],
  HydrogenGateway: [
    ready,
    group,
    ...pods,
    text('URL', '.status.endpoints[0]', 'The first URL that clients can connect to; status.endpoints has all.'),
    age,
    wide(text('Mode', '.spec.mode', 'Whether clients can send messages.')),
    updated,
    ...details,
  ],
  HydrogenMessageProcessor: [
    ready,
    group,
    ...pods,
    number('Pending', '.status.lag.pendingMessages', 'Messages that no pod has been given yet.'),
    age,
    wide(text('Ordering', '.spec.delivery.ordering', 'Whether the messages of a connection stay in order.')),
    updated,
    ...details,
  ],
};
