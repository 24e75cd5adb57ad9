/**
 * Finds a nats-server, or gets one into the project's cache without touching the system: from the Go module proxy, the
 * official release, or the distribution's package unpacked.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, chmod, copyFile, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What is built or downloaded. Building it needs Go 1.25, or an older one that may fetch a newer by itself. */
const pinnedVersion = 'v2.14.9';
const minimum = [2, 10] as const;
const cache = join(import.meta.dirname, '../../.cache/bin');
const cached = join(cache, platform() === 'win32' ? 'nats-server.exe' : 'nats-server');
const lockPath = join(cache, 'nats-server.lock');
const installMs = 300_000;

type Source = readonly [name: string, get: () => Promise<string>];

/** Path of a usable nats-server. @throws Error that says what was tried and why it failed */
export async function findNatsServer(): Promise<string> {
  const failures: string[] = [];
  const present: Source[] = [
    ['NATS_SERVER', async () => process.env.NATS_SERVER ?? fail('not set')],
    ['PATH', findInPath],
    ['cache', async () => cached],
  ];
  const found = await firstUsable(present, failures);
  if (found !== undefined) return found;
  await mkdir(cache, { recursive: true });
  const unlock = await lock();
  try {
    // Another process may have finished while this one waited.
    const obtained = await firstUsable([['cache', async () => cached], ...installers], failures);
    if (obtained !== undefined) return obtained;
  } finally {
    await unlock();
  }
  throw new Error(`no nats-server >= ${minimum.join('.')}: ${failures.join('; ')}`);
}

const installers: readonly Source[] = [
  ['go install', installWithGo],
  ['release', installRelease],
  ['apt package', installPackage],
];

async function firstUsable(sources: readonly Source[], failures: string[]): Promise<string | undefined> {
  for (const [name, get] of sources) {
    try {
      const path = await get();
      await checkVersion(path);
      return path;
    } catch (err) {
      const failure = `${name}: ${err instanceof Error ? err.message.split('\n')[0] : String(err)}`;
      if (!failures.includes(failure)) failures.push(failure);
    }
  }
  return undefined;
}

async function checkVersion(path: string): Promise<void> {
  const { stdout } = await run(path, ['--version']);
  const [, major = '0', minor = '0'] = /v(\d+)\.(\d+)/.exec(stdout) ?? [];
  const isNew = Number(major) > minimum[0] || (Number(major) === minimum[0] && Number(minor) >= minimum[1]);
  if (!isNew) fail(`${path} is ${stdout.trim()}, older than ${minimum.join('.')}`);
}

async function findInPath(): Promise<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'nats-server');
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return fail('nats-server is not in it');
}

async function installWithGo(): Promise<string> {
  const module = `github.com/nats-io/nats-server/v2@${pinnedVersion}`;
  say(`go install ${module} (a minute or two, once)`);
  await run('go', ['install', module], { env: { ...process.env, GOBIN: cache, CGO_ENABLED: '0' }, timeout: installMs });
  return cached;
}

async function installRelease(): Promise<string> {
  const cpu = arch() === 'x64' ? 'amd64' : arch();
  const name = `nats-server-${pinnedVersion}-${platform()}-${cpu}`;
  const base = `https://github.com/nats-io/nats-server/releases/download/${pinnedVersion}`;
  say(`downloading ${base}/${name}.tar.gz`);
  const archive = await download(`${base}/${name}.tar.gz`);
  const sums = (await download(`${base}/SHA256SUMS`)).toString();
  const sum = createHash('sha256').update(archive).digest('hex');
  if (!sums.includes(`${sum}  ${name}.tar.gz`)) fail(`the checksum of ${name}.tar.gz is not in SHA256SUMS`);
  return inWorkFolder(async (folder) => {
    await writeFile(join(folder, 'archive.tar.gz'), archive);
    await run('tar', ['-xzf', 'archive.tar.gz', '--strip-components=1'], { cwd: folder });
    return join(folder, 'nats-server');
  });
}

async function installPackage(): Promise<string> {
  say('apt-get download nats-server, unpacked into the cache');
  return inWorkFolder(async (folder) => {
    await run('apt-get', ['download', 'nats-server'], { cwd: folder, timeout: installMs });
    const deb = (await readdir(folder)).find((name) => name.endsWith('.deb')) ?? fail('apt-get downloaded nothing');
    await run('dpkg-deb', ['-x', deb, '.'], { cwd: folder });
    for (const place of ['usr/sbin', 'usr/bin']) {
      const names = await readdir(join(folder, place)).catch((): string[] => []);
      if (names.includes('nats-server')) return join(folder, place, 'nats-server');
    }
    return fail('the package holds no nats-server');
  });
}

// What is not new enough never reaches the cache.
async function inWorkFolder(obtain: (folder: string) => Promise<string>): Promise<string> {
  const folder = join(cache, `work-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    const path = await obtain(folder);
    await chmod(path, 0o755);
    await checkVersion(path);
    await copyFile(path, `${cached}.${process.pid}`);
    await rename(`${cached}.${process.pid}`, cached);
    return cached;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function download(url: string): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(installMs) });
  if (!response.ok) fail(`${url}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

// One installation at a time over all test processes; a lock older than any installation is a dead process's.
async function lock(): Promise<() => Promise<void>> {
  for (let waits = 0; ; waits++) {
    try {
      const file = await open(lockPath, 'wx');
      await file.writeFile(`${process.pid}\n`);
      await file.close();
      return () => rm(lockPath, { force: true });
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err;
      if (waits === 0) say(`waiting for another process to install it (${lockPath})`);
      const age = await stat(lockPath).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      );
      if (age > 2 * installMs) await rm(lockPath, { force: true });
      await delay(250);
    }
  }
}

function say(what: string): void {
  process.stderr.write(`nats-server: ${what}\n`);
}

function fail(reason: string): never {
  throw new Error(reason);
}
