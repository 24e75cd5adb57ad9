/**
 * Pushpin with WebSocket-over-HTTP: what has arrived of a connection is one POST of events to the destination, whose answer
 * has events for the client. It opens each connection with a POST of its own.
 */

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePortBase } from '../../test/kit/ports.ts';
import { plain } from '../load/dialect.ts';
import { startBenchProcess, watchDescendants } from '../processes.ts';
import type { ComparedPath, DestinationUrls, System } from './path.ts';
import { findPushpin, pushpinVersion } from './pushpin-binary.ts';

export function pushpin(): System {
  return {
    name: 'Pushpin',
    product: 'Pushpin',
    version: async () => pushpinVersion(await findPushpin()),
    start,
  };
}

async function start(urls: DestinationUrls): Promise<ComparedPath> {
  await using stack = new AsyncDisposableStack();
  const { pushpin: binary, env, libraryFolder } = await findPushpin();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const library = join(directory, 'lib');
  await cp(libraryFolder, library, { recursive: true });
  await ownZurl(library);
  const port = await freePortBase();
  await writeFile(join(directory, 'routes'), `* ${new URL(urls.destination).host},over_http\n`);
  await writeFile(join(directory, 'pushpin.conf'), configuration(directory, library, port));
  const args = ['--config', join(directory, 'pushpin.conf'), '--merge-output', '--loglevel', '1'];
  const started = stack.use(startBenchProcess('pushpin', binary, args, env));
  // Every path is the destination's, and so answers 200 once all parts run.
  await started.answers(`http://127.0.0.1:${port}/`);
  const descendants = stack.use(watchDescendants(started));
  const parts = stack.move();
  return {
    name: 'Pushpin',
    url: `ws://127.0.0.1:${port}/pushpin`,
    processes: [started, ...descendants.processes],
    dialect: plain,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** Packages for a system use the zurl of the system; here Pushpin runs one itself. */
async function ownZurl(library: string): Promise<void> {
  for (const name of await readdir(library)) {
    if (!name.endsWith('.conf')) continue;
    const file = join(library, name);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll('ipc:///var/run/zurl/zurl-', 'ipc://{rundir}/{ipc_prefix}zurl-'));
  }
}

function configuration(directory: string, library: string, port: number): string {
  return `[global]
include=${library}/internal.conf
libdir=${library}
rundir=${directory}
ipc_prefix=bench-
port_offset=0

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:${port}
logdir=${directory}
log_level=1
client_buffer_size=8192
client_maxconn=50000

[proxy]
routesfile=${directory}/routes
sig_key=bench
updates_check=off

[handler]
push_in_spec=ipc://${directory}/push-in
push_in_sub_specs=ipc://${directory}/push-in-sub
push_in_http_addr=127.0.0.1
push_in_http_port=${port + 1}
command_spec=ipc://${directory}/command
message_rate=1000000
`;
}
