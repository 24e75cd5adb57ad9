/** The words: kinds, types and validation of the custom resources. */
export { parseDocuments } from './documents.ts';
export { resolveGroups } from './groups.ts';
export { type DocumentIssue, InvalidDocuments } from './invalid.ts';
export { kinds } from './kinds.ts';
export { groupSecretRefs, type MemberRole, type NatsRole, natsConnectionOf } from './nats-connection.ts';
export { parse } from './parse.ts';
export { parseQuantity } from './quantity.ts';
export type {
  HydrogenGateway,
  HydrogenGatewayInput,
  HydrogenGroup,
  HydrogenMessageProcessor,
  Kind,
  Resource,
} from './resources.ts';
export { restartFacts } from './restart.ts';
export type {
  Condition,
  HydrogenMessageProcessorStatus,
} from './status.ts';
export type {
  HttpCall,
  HydrogenGatewaySpec,
  HydrogenGatewaySpecInput,
  JwtProvider,
  Limits,
  TokenPlaces,
} from './types/gateway.ts';
export type { HydrogenGroupSpecInput } from './types/group.ts';
export type {
  Destination,
  HydrogenMessageProcessorSpec,
  HydrogenMessageProcessorSpecInput,
  Rule,
  RulesEngine,
} from './types/processor.ts';
export type { Header, SecretKeyRef } from './types/shared.ts';
