/** The words: kinds, types and validation of the custom resources. */
import type { TSchema } from 'typebox';

import { type Kind, kinds } from './kinds.ts';

export { parseDocuments } from './documents.ts';
export type { Header, HttpCall, SecretKeyRef } from './fragments.ts';
export { gatewayKind, type HydrogenGatewaySpec, type HydrogenGatewaySpecInput, type Limits } from './gateway.ts';
export { groupKind, type HydrogenGroupSpec, type HydrogenGroupSpecInput } from './group.ts';
export { type ResolvedGroups, resolveGroups } from './groups.ts';
export { type DocumentIssue, InvalidDocuments } from './invalid.ts';
export type { Issue } from './issue.ts';
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
  type ResourceInput,
} from './kinds.ts';
export { type CustomResourceDefinition, customResourceDefinitions } from './manifest.ts';
export type { Metadata, MetadataInput } from './metadata.ts';
export { type NatsConnectionSpec, natsConnectionOf } from './nats-connection.ts';
export { type ParseResult, parse } from './parse.ts';
export {
  type Destination,
  type HydrogenMessageProcessorSpec,
  type HydrogenMessageProcessorSpecInput,
  processorKind,
  type Rule,
  type RulesEngine,
} from './processor.ts';
export { parseQuantity } from './quantity.ts';
export { restartFacts } from './restart.ts';
export type { CrossFieldRule } from './rules.ts';
export type {
  Condition,
  HydrogenGatewayStatus,
  HydrogenGroupStatus,
  HydrogenMessageProcessorStatus,
} from './status.ts';

/** The schema of each kind's `spec`. */
export const schemas: Readonly<Record<Kind, TSchema>> = {
  HydrogenGroup: kinds.HydrogenGroup.schema,
  HydrogenGateway: kinds.HydrogenGateway.schema,
  HydrogenMessageProcessor: kinds.HydrogenMessageProcessor.schema,
};
