/** The pods from which a member of a group can be examined. */

import type { HydrogenGateway, HydrogenMessageProcessor } from '../../crds/index.ts';
import { gatewayNames, processorNames } from '../../infra/names.ts';
import type { Vantage } from './place.ts';

/** The workload of a gateway or a message processor. */
export function vantageOf({ kind, metadata }: HydrogenGateway | HydrogenMessageProcessor): Vantage {
  const names = kind === 'HydrogenGateway' ? gatewayNames(metadata.name) : processorNames(metadata.name);
  return { namespace: metadata.namespace, workload: `deploy/${names.workload}` };
}
