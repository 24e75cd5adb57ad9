/** Reports the facts of a reconciliation: in the status of the object, and as events. */
import type { HydrogenGateway, HydrogenGroup, HydrogenMessageProcessor, Kind } from '../../crds/index.ts';
import { gatewayNames } from '../../infra/names.ts';
import type { Store } from '../cache/store.ts';
import type { Events } from '../kube/events.ts';
import { keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { OperatorLog } from '../log.ts';
import type { Facts } from './facts.ts';
import { addressesOf, countsOf, ownWorkload, scalingOf } from './workload.ts';
import type { StatusWriter } from './writer.ts';

/** A checked document. */
export type Document = HydrogenGroup | HydrogenGateway | HydrogenMessageProcessor;

export interface Reporter {
  /**
   * @param found facts apart from the workload, which is looked up @param more additional fields of the status
   * @param document undefined: the object is invalid @throws {ApiError}
   */
  report(object: KubeObject, found: Partial<Facts>, more?: object, document?: Document): Promise<void>;
}

export interface ReporterOptions {
  readonly store: Store;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly log: OperatorLog;
}

export function createReporter({ store, status, events, log }: ReporterOptions): Reporter {
  return {
    report: async (object, found, more = {}, document) => {
      const kind = object.kind as Kind; // only the three kinds are watched
      const { name, generation = 0 } = object.metadata;
      const workload = ownWorkload(store, object);
      const hasWorkload = kind !== 'HydrogenGroup' || workload !== undefined || isManaged(document);
      const facts: Facts = {
        kind,
        name,
        generation,
        workload,
        hasWorkload,
        scaling: scalingOf(store, object),
        ...found,
      };
      const addresses = document?.kind === 'HydrogenGateway' ? addressesOf(document, clientService(store, object)) : {};
      const changed = await status.write(object, facts, { ...countsOf(kind, name, workload), ...addresses, ...more });
      for (const { type, reason, message } of changed) {
        const isBad = type === 'Stalled';
        events.record(object, { type: isBad ? 'Warning' : 'Normal', reason, action: 'Reconcile', note: message });
      }
      log.reported({ object: keyOf(object), changed: changed.length });
    },
  };
}

/** The service that clients of a gateway connect to. */
function clientService(store: Store, { metadata }: KubeObject): KubeObject | undefined {
  const { uid = '', namespace = '', name } = metadata;
  return store.ownChild(uid, `Service/${namespace}/${gatewayNames(name).workload}`);
}

function isManaged(document: Document | undefined): boolean {
  return document?.kind === 'HydrogenGroup' && document.spec.nats.managed !== undefined;
}
