/** Where programs come from: the folders of this machine, the Go module proxy, the distribution, and official releases. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, readdir, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import './orphans.ts';
import { fail, type Place, say } from './program.ts';

/** The longest that a download may take. */
const downloadMs = 10 * 60_000;

/** Runs a program to its end. */
export const run = promisify(execFile);

/** How releases name the machine, such as `linux` and `amd64`. */
export const machine = { os: platform(), cpu: arch() === 'x64' ? 'amd64' : arch() };

/** The path that environment variable `variable` holds. */
export function placeNamedBy(variable: string): Place {
  return [variable, async () => process.env[variable] ?? fail('not set')];
}

/** The first folder of PATH that has the file `name`. */
export function placeInPath(name: string): Place {
  return ['PATH', () => findIn((process.env.PATH ?? '').split(delimiter), name)];
}

/** Path of the file `name` in the first of `folders` that has it. */
export async function findIn(folders: readonly string[], name: string): Promise<string> {
  for (const folder of folders) {
    const path = join(folder, name);
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return fail(`${name} is not in it`);
}

/** Throws when `version` is below `minimum`, both as numbers, the major first. */
export function demandVersion(path: string, text: string, minimum: readonly number[]): void {
  const version = /(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number) ?? [];
  const difference = minimum.map((part, index) => (version[index] ?? 0) - part).find((part) => part !== 0);
  if ((difference ?? 0) < 0)
    fail(`${path} is ${version.join('.') || 'of no known version'}, older than ${minimum.join('.')}`);
}

/** The distribution's packages (of Debian and its relatives), unpacked into the new folder `root` and not installed. */
export async function unpackPackages(packages: readonly string[], folder: string, root: string): Promise<void> {
  say(`apt-get download ${packages.join(' ')}, unpacked into the cache`);
  await run('apt-get', ['download', ...packages], { cwd: folder, timeout: downloadMs });
  for (const file of await readdir(folder)) {
    if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', file, root], { cwd: folder });
  }
}

/** The file `name` out of the distribution's package, which is unpacked into `folder` and not installed. */
export async function unpackPackage(packageName: string, name: string, folder: string): Promise<string> {
  say(`apt-get download ${packageName}, unpacked into the cache`);
  await run('apt-get', ['download', packageName], { cwd: folder, timeout: downloadMs });
  const deb = (await readdir(folder)).find((file) => file.endsWith('.deb')) ?? fail('apt-get downloaded nothing');
  await run('dpkg-deb', ['-x', deb, '.'], { cwd: folder });
  return findIn([join(folder, 'usr/sbin'), join(folder, 'usr/bin')], name);
}

/** Path of a file in `folder`, named like it, with the bytes at `url`. @throws when their SHA-256 is not in the text at `sumsUrl` */
export async function download(folder: string, url: string, sumsUrl: string): Promise<string> {
  say(`downloading ${url}`);
  const [bytes, sums] = [await fetchBytes(url), await fetchBytes(sumsUrl)];
  const sum = createHash('sha256').update(bytes).digest('hex');
  if (!sums.toString().includes(sum)) fail(`the checksum of ${url} is not in ${sumsUrl}`);
  const path = join(folder, basename(url));
  await writeFile(path, bytes);
  return path;
}

/** The file `name` of the archive at `url`, whose entries lie in one folder. */
export async function downloadArchive(folder: string, name: string, url: string, sumsUrl: string): Promise<string> {
  const archive = await download(folder, url, sumsUrl);
  await run('tar', ['-xzf', archive, '--strip-components=1'], { cwd: folder });
  return join(folder, name);
}

async function fetchBytes(url: string): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(downloadMs) });
  if (!response.ok) fail(`${url}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
