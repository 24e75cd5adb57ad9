/** A server with the configuration of docs/nats.md, the logins of its roles, and what it refused. */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection, nkeyAuthenticator, nkeys } from 'nats';

import type { NatsRole } from '../../../../crds/index.ts';
import { root } from '../../../kit/hydrogen.ts';
import { startNats, type TestNats } from '../../../kit/nats.ts';

export interface GuardedNats extends AsyncDisposable {
  readonly server: TestNats;
  /** For `--secrets`: each role's seed is the key `seed` of a secret with the name of the role. */
  readonly secretsDir: string;
  seedFile(role: NatsRole): string;
  /** A plain client with the rights of a role. */
  client(role: NatsRole): Promise<NatsConnection>;
  /** The lines of the server's log about something that it refused. */
  refusals(): string[];
}

const variables = {
  operator: 'OPERATOR_KEY',
  gateway: 'GATEWAY_KEY',
  processor: 'PROCESSOR_KEY',
  commandLine: 'COMMAND_LINE_KEY',
};
const roles = Object.keys(variables) as NatsRole[];

/** The configuration in the document. */
async function documented(): Promise<string> {
  const text = await readFile(join(root, 'docs/nats.md'), 'utf8');
  const config = /\n```\n(OPERATOR_KEY:.*?)\n```\n/s.exec(text)?.[1];
  if (config === undefined) throw new Error('docs/nats.md has no configuration');
  return config;
}

/** @param hasOperator false: with the lines for a group without an operator */
export async function startGuardedNats(hasOperator: boolean): Promise<GuardedNats> {
  await using stack = new AsyncDisposableStack();
  const secretsDir = await mkdtemp(join(tmpdir(), 'hydrogen-rights-'));
  stack.defer(() => rm(secretsDir, { recursive: true, force: true }));
  const seedFile = (role: NatsRole): string => join(secretsDir, role, 'seed');
  const seeds = new Map<NatsRole, Uint8Array>();
  let config = await documented();
  for (const role of roles) {
    const pair = nkeys.createUser();
    seeds.set(role, pair.getSeed());
    await mkdir(join(secretsDir, role));
    await writeFile(seedFile(role), pair.getSeed());
    config = config.replace(`${variables[role]}: "U..."`, `${variables[role]}: "${pair.getPublicKey()}"`);
  }
  if (!hasOperator) config = config.replace(/# ("\$JS[^\n]*")/g, '$1');
  config = config.replace(/ *store_dir.*\n/, ''); // the test server has its own
  const server = stack.use(await startNats({ config }));
  const connections: NatsConnection[] = [];
  stack.defer(() => Promise.all(connections.map((one) => one.close())).then(() => {}));
  const parts = stack.move();
  return {
    server,
    secretsDir,
    seedFile,
    client: async (role) => {
      const connection = await connect({
        servers: server.url,
        authenticator: nkeyAuthenticator(seeds.get(role) ?? randomBytes(1)),
        inboxPrefix: `_INBOX.${role}`,
      });
      connections.push(connection);
      return connection;
    },
    refusals: () =>
      server
        .log()
        .split('\n')
        .filter((line) => /violation|authorization/i.test(line)),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
