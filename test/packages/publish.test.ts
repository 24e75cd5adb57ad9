/** What a release publishes to npm, with npm itself and a registry that remembers. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import test from 'node:test';

const tool = join(import.meta.dirname, '../../tools/publish.ts');

interface Packument {
  readonly versions: Readonly<Record<string, unknown>>;
  readonly 'dist-tags': Readonly<Record<string, string>>;
}

/** A registry with what was published to it, `name@version tag`; it refuses the packages of `refused`. */
async function startRegistry(refused: Set<string>) {
  const packuments = new Map<string, Packument>();
  const published: string[] = [];
  const server = createServer(async (request, response) => {
    const name = (request.url ?? '').slice(1);
    const answer = (status: number, body: unknown): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.method === 'GET') {
      const known = packuments.get(name);
      return answer(known === undefined ? 404 : 200, known ?? { error: 'not found' });
    }
    const sent = (await json(request)) as Packument;
    if (refused.has(name)) return answer(403, { error: 'no' });
    packuments.set(name, sent);
    for (const version of Object.keys(sent.versions))
      published.push(`${name}@${version} ${Object.keys(sent['dist-tags'])}`);
    answer(201, {});
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    published,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}

/** Writes packages of this version, and publishes them as often as asked. */
async function stage(version: string, refused = new Set<string>()) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-publish-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const registry = stack.use(await startRegistry(refused));
  for (const name of ['one', 'two']) {
    await mkdir(join(folder, 'packages', name), { recursive: true });
    await writeFile(join(folder, 'packages', name, 'package.json'), JSON.stringify({ name, version }));
  }
  const userconfig = join(folder, 'npmrc');
  await writeFile(userconfig, `//${registry.host}/:_authToken=x\n`);
  const env = {
    ...process.env,
    npm_config_userconfig: userconfig,
    npm_config_registry: `http://${registry.host}/`,
    npm_config_cache: join(folder, 'cache'),
    npm_config_fetch_retries: '0',
  };
  const owned = stack.move();
  return {
    published: registry.published,
    /** Exit code and output. */
    async publish(): Promise<[code: number, output: string]> {
      const child = spawn(process.execPath, [tool, join(folder, 'packages'), '--access', 'public'], { env });
      const [output, , [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      return [code as number, output];
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test('a release that failed halfway is repeated, and publishes what is missing', async () => {
  const refused = new Set(['two']);
  await using place = await stage('1.2.3', refused);
  assert.equal((await place.publish())[0], 1);
  assert.deepEqual(place.published, ['one@1.2.3 latest']);
  refused.clear();
  const [code, output] = await place.publish();
  assert.deepEqual([code, place.published], [0, ['one@1.2.3 latest', 'two@1.2.3 latest']]);
  assert.match(output, /^one@1\.2\.3 is published already$/m);
});

test('what comes before a release is not what npm installs', async () => {
  await using place = await stage('2.0.0-rc.1');
  assert.equal((await place.publish())[0], 0);
  assert.deepEqual(place.published, ['one@2.0.0-rc.1 next', 'two@2.0.0-rc.1 next']);
});
