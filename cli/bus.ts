/** The bus of a group as its document describes it. */

import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { busGroup } from '../crds/contract.ts';
import type { HydrogenGroup, NatsRole } from '../crds/index.ts';
import { createNatsBus } from '../runtime/bus/nats/nats.ts';
import { natsOptionsOf } from '../runtime/bus/options.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import type { ReportSource } from '../runtime/bus/port/reports.ts';
import { createRoleLog } from '../runtime/role/log.ts';
import type { MountedSecrets } from '../runtime/role/secrets.ts';

export interface GroupBusOptions {
  readonly secrets: MountedSecrets;
  readonly role: NatsRole;
  readonly logger: Logger;
  /** What the NATS server shows for this client. */
  readonly name: string;
  /** A file to log in with instead of what the group names. */
  readonly credentialsFile?: string | undefined;
  /** Instead of the group's. */
  readonly servers?: readonly string[];
  /** What the process reports to the operator. */
  readonly report?: ReportSource;
}

/** Credentials and certificates are read again on every connection. */
export function createGroupBus(group: HydrogenGroup, options: GroupBusOptions): Bus {
  const { secrets, logger, role, name, servers, credentialsFile, report } = options;
  const log = createRoleLog(logger, { group: busGroup(group.metadata.namespace, group.metadata.name) });
  return createNatsBus({
    ...natsOptionsOf(group, role, (ref) => secrets.read(ref)),
    ...(servers && { servers }),
    report,
    ...(credentialsFile !== undefined && {
      authentication: async () => ({ credentials: await readFile(credentialsFile, 'utf8') }),
    }),
    clientName: `hydrogen ${name}`,
    onEvent: ({ kind, detail, cause }) => log.busEvent({ event: kind, detail, err: cause }),
  });
}
