/** Where the gateways of one process listen. */

import { ports } from '../crds/contract.ts';
import type { GatewayPorts } from '../runtime/gateway/gateway.ts';

/** Ports of gateway n, counted from 0 in the order of the documents. */
export function gatewayPorts(portBase: number, index: number): GatewayPorts {
  const client = portBase + 100 * index;
  const from = client - ports.client;
  return { client, management: ports.management + from, probes: ports.probes + from };
}
