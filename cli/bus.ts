/** The bus of a group as its document describes it. */

import type { Logger } from 'pino';
import { busGroup } from '../crds/contract.ts';
import type { HydrogenGroup } from '../crds/index.ts';
import { createNatsBus } from '../runtime/bus/nats/nats.ts';
import { natsOptionsOf } from '../runtime/bus/options.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import type { ReportSource } from '../runtime/bus/port/reports.ts';
import { createRoleLog } from '../runtime/role/log.ts';
import type { MountedSecrets } from '../runtime/role/secrets.ts';

export interface GroupBusOptions {
  readonly secrets: MountedSecrets;
  readonly logger: Logger;
  /** What the NATS server shows for this client. */
  readonly name: string;
  /** Instead of the group's. */
  readonly servers?: readonly string[];
  /** What the process reports to the operator. */
  readonly report?: ReportSource;
}

/** Credentials and certificates are read again on every connection. */
export function createGroupBus(group: HydrogenGroup, { secrets, logger, name, servers, report }: GroupBusOptions): Bus {
  const log = createRoleLog(logger, { group: busGroup(group.metadata.namespace, group.metadata.name) });
  return createNatsBus({
    ...natsOptionsOf(group, (ref) => secrets.read(ref)),
    ...(servers && { servers }),
    report,
    clientName: `hydrogen ${name}`,
    onEvent: ({ kind, detail, cause }) => log.busEvent({ event: kind, detail, err: cause }),
  });
}
