/** A separate group on a nats-server, and a plain NATS client, for tests of what only NATS does. */

import { randomUUID } from 'node:crypto';
import { connect, type JetStreamManager, type NatsConnection } from 'nats';
import { createNatsBus, type NatsBusOptions } from '../../../../runtime/bus/nats/nats.ts';
import type { Bus } from '../../../../runtime/bus/port/bus.ts';
import type { ClientMessage } from '../../../../runtime/bus/port/client-message.ts';
import { createSubjects, type Subjects } from '../../../../runtime/bus/subjects.ts';
import { eventually } from '../../../kit/eventually.ts';
import type { TestNats } from '../../../kit/nats.ts';

export interface NatsGroupKit extends AsyncDisposable {
  readonly options: NatsBusOptions;
  readonly subjects: Subjects;
  /** A bus of the group, not started; stopped at disposal. */
  bus(overrides?: Partial<NatsBusOptions>): Bus;
  /** A bus of the group that is up. */
  started(overrides?: Partial<NatsBusOptions>): Promise<Bus>;
  /** A plain client of the nats package; ask for another one after the server was restarted. */
  client(): Promise<{ readonly connection: NatsConnection; readonly manager: JetStreamManager }>;
  consumerNames(): Promise<string[]>;
}

/** Publishes `probe` to an endpoint until it is stored in an entry. */
export async function untilEntries(bus: Bus, endpoint = '/chat'): Promise<void> {
  const probe = (): ClientMessage => ({
    id: randomUUID(),
    connectionId: 'gw-0-probe',
    endpoint,
    callbackUrl: '',
    payload: Buffer.from('probe'),
  });
  await eventually(async () => (await bus.messages.publish(probe())) > 0);
}

export function natsGroup(server: TestNats, overrides: Partial<NatsBusOptions> = {}): NatsGroupKit {
  const options: NatsBusOptions = {
    group: `test_${randomUUID()}`,
    servers: [server.url],
    clientName: 'test',
    stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 16 * 1024 * 1024 },
    deadLetter: { maxAgeMs: 3_600_000, maxBytes: 16 * 1024 * 1024 },
    leaseMs: 5000,
    ...overrides,
  };
  const subjects = createSubjects(options.group);
  const buses: Bus[] = [];
  const connections: NatsConnection[] = [];

  const kit: NatsGroupKit = {
    options,
    subjects,
    bus: (more = {}) => {
      const bus = createNatsBus({ ...options, ...more });
      buses.push(bus);
      return bus;
    },
    started: async (more) => {
      const bus = kit.bus(more);
      await bus.start();
      await eventually(() => bus.status === 'up');
      return bus;
    },
    client: async () => {
      const connection = await connect({ servers: server.url });
      connections.push(connection);
      return { connection, manager: await connection.jetstreamManager() };
    },
    consumerNames: async () => {
      const { connection, manager } = await kit.client();
      const infos = await manager.consumers.list(subjects.stream).next();
      await connection.close();
      return infos.map(({ name }) => name).sort();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(buses.map((bus) => bus.stop()));
      await Promise.all(connections.map((connection) => connection.close()));
    },
  };
  return kit;
}
