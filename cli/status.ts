/** `hydrogen status`: every group in a line. */
import { defaultNamespace } from '../crds/contract.ts';
import { type GroupView, readGroups } from '../operator/status/describe.ts';
import type { ClusterCommandOptions } from './describe.ts';
import { connectKube } from './kube.ts';
import { formatted, judged, whileWaiting } from './output.ts';

export interface StatusOptions extends ClusterCommandOptions {
  readonly allNamespaces?: boolean;
}

const head = ['NAMESPACE', 'GROUP', 'READY', 'GATEWAYS', 'PROCESSORS'];

/** The lines. @throws {HydrogenError} HYD_CONFIG_INVALID when there is no cluster */
export async function status(options: StatusOptions): Promise<string> {
  const kube = connectKube(options);
  const namespace = options.namespace ?? kube.namespace ?? defaultNamespace;
  const where = options.allNamespaces ? undefined : namespace;
  try {
    const groups = await whileWaiting(`the cluster at ${kube.server}`, readGroups(kube, where));
    if (options.output !== undefined) return formatted(groups, options.output);
    if (groups.length === 0) return `no groups in ${where === undefined ? 'any namespace' : `namespace ${where}`}\n`;
    return table([head, ...groups.map(rowOf)]);
  } finally {
    kube.close();
  }
}

function rowOf(group: GroupView): string[] {
  const ready = (kind: string): string => {
    const all = group.members.filter((member) => member.kind === kind);
    return `${all.filter((member) => member.ready === 'True').length}/${all.length}`;
  };
  return [group.namespace, group.name, group.ready, ready('HydrogenGateway'), ready('HydrogenMessageProcessor')];
}

/** Columns of equal width; whether a group is ready is coloured after they are measured. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row, index) =>
    row
      .map((cell, column) => {
        const padded = column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0);
        return index > 0 && column === 2 ? judged(padded, cell === 'True') : padded;
      })
      .join('  '),
  );
  return `${lines.join('\n')}\n`;
}
