/** The operator's watches: custom resources, their children, and the existence of secrets. */

import type { Kube } from '../kube/client.ts';
import type { ApiError } from '../kube/errors.ts';
import {
  childTypes,
  customTypes,
  type KubeObject,
  optionalKinds,
  type ResourceType,
  secretMetadataType,
  sharedKinds,
} from '../kube/objects.ts';
import { type Change, Reflector, type ReflectorOptions } from './reflector.ts';
import { type Child, type ChildTransform, transformCustom, transformSecret } from './transform.ts';
import { createTurn } from './turn.ts';

export interface Watches {
  /** Resolves when every resource has been listed once. */
  readonly synced: Promise<void>;
  /** Resolves when every custom resource has been listed once: their definitions are there. */
  readonly customsSynced: Promise<void>;
  /** The custom resources that the server does not know: their definitions are missing. */
  readonly missing: readonly string[];
  /** Whether the operator has the right to watch secrets. */
  readonly areSecretsVisible: boolean;
  start(): void;
  stop(): Promise<void>;
  /** Takes over the answer to a write at once; the watch then reports no change for it. */
  learnCustom(object: KubeObject): void;
  learnChild(child: Child): void;
}

export interface WatchesOptions {
  readonly kube: Pick<Kube, 'pages' | 'watch'>;
  /** @default - every namespace */
  readonly namespace: string | undefined;
  readonly transformChild: ChildTransform;
  readonly onCustom: (change: Change) => void;
  readonly onChild: (change: Change<Child>) => void;
  readonly onSecret: (change: Change) => void;
  /** A list or watch has failed and will be retried. */
  readonly onFailure: (resource: string, error: unknown, delayMs: number) => void;
  /** A handler threw. */
  readonly onBug: (error: unknown) => void;
  /** `missing` has changed. */
  readonly onMissing: () => void;
  /** The right to list secrets is missing. */
  readonly onSecretsHidden: (error: ApiError) => void;
  /** First delay after a failure. @default - that of a reflector */
  readonly retryMs: number | undefined;
  /** Silence after which a watch counts as dead. @default - that of a reflector */
  readonly inactivityMs: number | undefined;
}

/** The label of every child that the constructs emit. */
const labelSelector = 'app.kubernetes.io/managed-by=hydrogen';

export function createWatches(options: WatchesOptions): Watches {
  const { kube, namespace, transformChild, onCustom, onChild, onSecret, onFailure, onBug, retryMs, inactivityMs } =
    options;
  const turn = createTurn();

  function reflect<Kept extends KubeObject>(
    type: ResourceType,
    transform: (object: KubeObject) => Kept,
    onChange: (change: Change<Kept>) => void,
    more: Partial<ReflectorOptions<Kept>> = {},
  ): Reflector<Kept> {
    return new Reflector(kube, {
      type,
      namespace,
      transform,
      turn,
      ...more,
      ...(retryMs !== undefined && { baseDelayMs: retryMs }),
      ...(inactivityMs !== undefined && { inactivityMs }),
      onChange,
      onFailure: (error, delayMs) => onFailure(type.plural, error, delayMs),
      onBug,
    });
  }

  const missing = new Set<string>();
  const onServed = (plural: string, isServed: boolean): void => {
    if (isServed) missing.delete(plural);
    else missing.add(plural);
    options.onMissing();
  };
  const customs = new Map(
    Object.values(customTypes).map((type) => {
      const more = { onServed: (isServed: boolean) => onServed(type.plural, isServed) };
      return [type.kind, reflect(type, transformCustom, onCustom, more)] as const;
    }),
  );
  const children = new Map(
    childTypes.map((type) => [
      type.kind,
      reflect(type, transformChild, onChild, {
        ...(sharedKinds.includes(type.kind) ? {} : { labelSelector }),
        ...(optionalKinds.includes(type.kind) && { absentOn: ['gone'] }),
      }),
    ]),
  );
  // Without permission for secrets, only the pods notice that one is missing, and credentials cannot be read.
  const secrets = reflect(secretMetadataType, transformSecret, onSecret, {
    absentOn: ['forbidden'],
    onAbsent: options.onSecretsHidden,
  });
  const all: Pick<Reflector, 'synced' | 'start' | 'stop'>[] = [...customs.values(), ...children.values(), secrets];

  return {
    synced: Promise.all(all.map(({ synced }) => synced)).then(() => undefined),
    customsSynced: Promise.all([...customs.values()].map(({ synced }) => synced)).then(() => undefined),
    get missing() {
      return [...missing].sort();
    },
    get areSecretsVisible() {
      return secrets.isPresent;
    },
    start: () => {
      for (const reflector of all) reflector.start();
    },
    stop: async () => {
      await Promise.all(all.map((reflector) => reflector.stop()));
    },
    learnCustom: (object) => customs.get(object.kind)?.learn(transformCustom(object)),
    learnChild: (child) => children.get(child.kind)?.learn(child),
  };
}
