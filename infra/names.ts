/**
 * The names of everything that the constructs emit. They depend only on the name of the object, not on a construct's
 * place in an app, and no two objects in a namespace can share one: each kind has its own suffix.
 */
import { managementServiceName, natsServiceName } from '../crds/contract.ts';
import { InvalidDocuments } from '../crds/index.ts';

/** Maximum length of the name of a service, and of a label value, in characters. */
const maxLabelLength = 63;

/** Number of characters that a stateful set appends to its name in the revision label: `-` and ten digits. */
const revisionLength = 11;

/** Names of the objects of a gateway. */
export function gatewayNames(name: string): { readonly workload: string; readonly management: string } {
  return { workload: labelSized('HydrogenGateway', name, '-gateway'), management: managementServiceName(name) };
}

/** Names of the objects of a message processor. */
export function processorNames(name: string): { readonly workload: string } {
  return { workload: labelSized('HydrogenMessageProcessor', name, '-mproc') };
}

/**
 * Names of the objects of a group with managed NATS.
 * @throws InvalidDocuments when the group's name is too long for the names of its servers.
 */
export function natsNames(group: string): { readonly workload: string; readonly headless: string } {
  labelSized('HydrogenGroup', group, '-nats'.padEnd('-nats'.length + revisionLength));
  return { workload: natsServiceName(group), headless: `${natsServiceName(group)}-headless` };
}

/** `name` with its suffix. @throws InvalidDocuments when the result is longer than Kubernetes allows. */
function labelSized(kind: string, name: string, suffix: string): string {
  const longest = maxLabelLength - suffix.length;
  if (name.length <= longest) return `${name}${suffix}`;
  const message = `must have at most ${longest} characters, so that names derived from it fit into ${maxLabelLength}, has ${name.length}`;
  throw new InvalidDocuments([{ object: `${kind}/${name}`, path: 'metadata.name', message }]);
}
