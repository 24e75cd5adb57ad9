/**
 * The names of everything that the constructs emit. They follow from the name of the object alone, never from where a
 * construct stands in an app, and no two objects of a namespace can come to share one: each ends in a suffix of its
 * own.
 */
import { managementServiceName, natsServiceName } from '../crds/contract.ts';
import { InvalidDocuments } from '../crds/index.ts';

/** Longest name of a service, and of anything that becomes a label value, in characters. */
const maxLabelLength = 63;

/** Room that a stateful set needs behind its name for the label of a revision: `-` and ten digits. */
const revisionLength = 11;

/** Names of what belongs to a gateway. */
export function gatewayNames(name: string): { readonly workload: string; readonly management: string } {
  return { workload: labelSized('HydrogenGateway', name, '-gateway'), management: managementServiceName(name) };
}

/** Names of what belongs to a message processor. */
export function processorNames(name: string): { readonly workload: string } {
  return { workload: labelSized('HydrogenMessageProcessor', name, '-mproc') };
}

/**
 * Names of what belongs to a group that has its own NATS.
 * @throws InvalidDocuments when the group's name leaves no room for the names of its servers.
 */
export function natsNames(group: string): { readonly workload: string; readonly headless: string } {
  labelSized('HydrogenGroup', group, '-nats'.padEnd('-nats'.length + revisionLength));
  return { workload: natsServiceName(group), headless: `${natsServiceName(group)}-headless` };
}

/** `name` with its suffix. @throws InvalidDocuments when that is longer than Kubernetes allows. */
function labelSized(kind: string, name: string, suffix: string): string {
  const longest = maxLabelLength - suffix.length;
  if (name.length <= longest) return `${name}${suffix}`;
  const message = `must have at most ${longest} characters, so that the names made from it fit into ${maxLabelLength}, has ${name.length}`;
  throw new InvalidDocuments([{ object: `${kind}/${name}`, path: 'metadata.name', message }]);
}
