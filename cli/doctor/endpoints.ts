/** Whether gateways and message processors of a group take messages at the same endpoints. */

import type { Documents, GatewayConfig, ProcessorConfig } from '../../runtime/role/documents.ts';
import type { Diagnosis } from './diagnosis.ts';

type Members = Pick<Documents, 'gateways' | 'processors'>;

const subject = 'endpoints';

/** A problem for each endpoint without a processor, a warning for each one of a processor without a gateway. */
export function diagnoseEndpoints({ gateways, processors }: Members): Diagnosis[] {
  const taking = gateways.filter(({ gateway }) => gateway.spec.mode !== 'ServerToClient');
  return [
    ...taking.map((one) => diagnoseGateway(one, processors)),
    ...processors.flatMap((one) => diagnoseProcessor(one, taking)),
  ];
}

function diagnoseGateway({ gateway, group }: GatewayConfig, processors: readonly ProcessorConfig[]): Diagnosis {
  const consumed = processors.filter((one) => one.group === group).map(({ processor }) => processor.spec.endpoints);
  const isConsumed = (path: string): boolean => consumed.some((paths) => paths === undefined || paths.includes(path));
  const lonely = gateway.spec.endpoints.map(({ path }) => path).filter((path) => !isConsumed(path));
  const objects = [`HydrogenGateway/${gateway.metadata.name}`];
  if (lonely.length === 0) return { health: 'ok', objects, subject, message: 'Each has a processor.' };
  return {
    health: 'problem',
    objects,
    subject,
    message: `No processor of group ${group.metadata.name} takes messages of ${lonely.join(', ')}, so clients get 503 there.`,
    cure: 'name the path in spec.endpoints of a HydrogenMessageProcessor, or set spec.mode to ServerToClient',
  };
}

function diagnoseProcessor({ processor, group }: ProcessorConfig, taking: readonly GatewayConfig[]): Diagnosis[] {
  const ofGroup = taking.filter((one) => one.group === group);
  const offered = new Set(ofGroup.flatMap(({ gateway }) => gateway.spec.endpoints.map(({ path }) => path)));
  const idle = (processor.spec.endpoints ?? []).filter((path) => !offered.has(path));
  if (idle.length === 0) return [];
  return [
    {
      health: 'warning',
      objects: [`HydrogenMessageProcessor/${processor.metadata.name}`],
      subject,
      message: `No gateway of group ${group.metadata.name} takes messages at ${idle.join(', ')}.`,
      cure: 'correct spec.endpoints, or add the path to a HydrogenGateway',
    },
  ];
}
