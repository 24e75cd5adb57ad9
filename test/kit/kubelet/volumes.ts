/**
 * The volumes of a pod as folders of this machine. Files of config maps and secrets are reached through a link that is
 * swapped, as in a real kubelet, so a reader never sees half of a change. Paths of the container in the text of a config
 * map are replaced by the folders.
 */

import { mkdir, mkdtemp, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { type DataStore, readField, readValues } from './data.ts';
import { type Items, type Mount, NotYet, type Pod, type Source, type Volume } from './objects.ts';

export interface VolumesOptions {
  readonly pod: Pod;
  /** The folder that it may fill. */
  readonly folder: string;
  /** The folder of every claim in the cluster. */
  readonly claims: string;
  readonly address: string;
  readonly store: DataStore;
  /** Changes the text of config maps further. */
  readonly adapt: (text: string) => string;
  readonly hasClaim: (name: string) => boolean;
  /** A token of the pod's service account. */
  readonly token: (expirationSeconds: number) => Promise<string>;
}

export interface Volumes {
  /** Creates or updates them. @throws {NotYet} when an object that they contain is missing */
  sync(): Promise<void>;
  /** The path on this machine of a path in the containers; unchanged when it is below no mount. */
  localPath(path: string): string;
  /** Replaces every such path in a text. */
  localise(text: string): string;
}

type Payload = Map<string, Buffer>;

export function createVolumes({
  pod,
  folder,
  claims,
  address,
  store,
  adapt,
  hasClaim,
  token,
}: VolumesOptions): Volumes {
  const { namespace } = pod.metadata;
  const { volumes = [], containers } = pod.spec;
  const mounts = containers.flatMap(({ volumeMounts = [] }) => volumeMounts).sort(byLength);
  const written = new Map<string, string>();
  const tokens = new Map<string, Buffer>();

  function folderOf({ name, persistentVolumeClaim }: Volume): string {
    if (persistentVolumeClaim) return join(claims, namespace, persistentVolumeClaim.claimName);
    return join(folder, name);
  }

  const places = new Map(volumes.map((volume) => [volume.name, folderOf(volume)]));
  const placeOf = ({ name }: Mount): string => places.get(name) ?? '';

  function localPath(path: string): string {
    const mount = mounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
    return mount === undefined ? path : placeOf(mount) + path.slice(mount.mountPath.length);
  }

  // A path begins where no other does, and ends with itself or a slash.
  function localise(text: string): string {
    if (mounts.length === 0) return text;
    const any = mounts.map(({ mountPath }) => mountPath.replaceAll(/[.+()]/g, '\\$&')).join('|');
    return text.replaceAll(new RegExp(`(?<![\\w./-])(?:${any})(?![\\w.-])`, 'g'), localPath);
  }

  async function payloadOf(source: Source): Promise<Payload> {
    if (source.configMap) {
      const values = readValues(store, 'ConfigMap', { namespace, ...source.configMap });
      const files = selected(values, source.configMap, `configmap "${source.configMap.name}"`);
      return new Map([...files].map(([path, value]) => [path, Buffer.from(adapt(localise(value.toString('utf8'))))]));
    }
    if (source.secret) {
      const values = readValues(store, 'Secret', { namespace, ...source.secret });
      return selected(values, source.secret, `secret "${source.secret.name}"`);
    }
    if (source.serviceAccountToken) {
      const { path, expirationSeconds = 3600 } = source.serviceAccountToken;
      const known = tokens.get(path) ?? Buffer.from(await token(expirationSeconds));
      tokens.set(path, known);
      return new Map([[path, known]]);
    }
    const items = source.downwardAPI?.items ?? [];
    return new Map(items.map(({ path, fieldRef }) => [path, Buffer.from(readField(pod, address, fieldRef))]));
  }

  async function syncFiles(volume: Volume, sources: readonly Source[]): Promise<void> {
    const payload: Payload = new Map();
    for (const source of sources) for (const [path, value] of await payloadOf(source)) payload.set(path, value);
    const digest = JSON.stringify([...payload].map(([path, value]) => [path, value.toString('base64')]));
    if (written.get(volume.name) === digest) return;
    await swap(folderOf(volume), payload);
    written.set(volume.name, digest);
  }

  async function sync(): Promise<void> {
    for (const volume of volumes) {
      const { configMap, secret, projected, persistentVolumeClaim: claim } = volume;
      if (claim && !hasClaim(claim.claimName)) {
        throw new NotYet('ContainerCreating', `persistentvolumeclaim "${claim.claimName}" not found`);
      }
      await mkdir(folderOf(volume), { recursive: true });
      if (configMap) await syncFiles(volume, [{ configMap }]);
      if (secret) await syncFiles(volume, [{ secret: { ...secret, name: secret.secretName } }]);
      if (projected) await syncFiles(volume, projected.sources ?? []);
    }
  }

  return {
    localPath,
    localise,
    // A pod without its volumes does not create containers.
    sync: () =>
      sync().catch((error: unknown) => {
        throw error instanceof NotYet ? new NotYet('ContainerCreating', error.message) : error;
      }),
  };
}

function selected(values: Payload | undefined, { items, optional = false }: Items, name: string): Payload {
  if (values === undefined || items === undefined) return values ?? new Map();
  const files: Payload = new Map();
  for (const { key, path } of items) {
    const value = values.get(key);
    if (value !== undefined) files.set(path, value);
    else if (!optional) throw new NotYet('ContainerCreating', `${name} references non-existent key: ${key}`);
  }
  return files;
}

/** Files in a new folder, `..data` turned to it, and a link for each file or folder on top. */
async function swap(folder: string, payload: Payload): Promise<void> {
  const data = join(folder, '..data');
  const before = await readlink(data).catch(() => undefined);
  const next = await mkdtemp(`${folder}/..`);
  for (const [path, value] of payload) {
    await mkdir(dirname(join(next, path)), { recursive: true });
    await writeFile(join(next, path), value);
  }
  await symlink(next, `${data}_tmp`);
  await rename(`${data}_tmp`, data);
  for (const top of new Set([...payload.keys()].map((path) => path.split('/', 1)[0] ?? path))) {
    await symlink(join('..data', top), join(folder, top)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  if (before !== undefined) await rm(before, { recursive: true, force: true });
}

function byLength(a: Mount, b: Mount): number {
  return b.mountPath.length - a.mountPath.length;
}
