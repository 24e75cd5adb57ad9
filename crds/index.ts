/** The words: kinds, types and validation of the custom resources. */
export { parseDocuments } from './documents.ts';
export type { Header, HttpCall, SecretKeyRef } from './fragments.ts';
export type { HydrogenGatewaySpec, HydrogenGatewaySpecInput, Limits } from './gateway.ts';
export type { HydrogenGroupSpec, HydrogenGroupSpecInput } from './group.ts';
export { resolveGroups } from './groups.ts';
export { type DocumentIssue, InvalidDocuments } from './invalid.ts';
export {
  type HydrogenGateway,
  type HydrogenGatewayInput,
  type HydrogenGroup,
  type HydrogenGroupInput,
  type HydrogenMessageProcessor,
  type HydrogenMessageProcessorInput,
  type Kind,
  kinds,
  type Resource,
} from './kinds.ts';
export type { MetadataInput } from './metadata.ts';
export { natsConnectionOf } from './nats-connection.ts';
export { parse } from './parse.ts';
export type {
  Destination,
  HydrogenMessageProcessorSpec,
  HydrogenMessageProcessorSpecInput,
  Rule,
  RulesEngine,
} from './processor.ts';
export { parseQuantity } from './quantity.ts';
export { restartFacts } from './restart.ts';
export type {
  Condition,
  HydrogenMessageProcessorStatus,
} from './status.ts';
