/** The kinds of the API, and the types of their objects. */
import type { TSchema } from 'typebox';

import type { apiVersion } from './contract.ts';
import {
  gatewayKind,
  gatewayRules,
  gatewaySpec,
  type HydrogenGatewaySpec,
  type HydrogenGatewaySpecInput,
} from './gateway.ts';
import { groupKind, groupRules, groupSpec, type HydrogenGroupSpec, type HydrogenGroupSpecInput } from './group.ts';
import { type Metadata, type MetadataInput, metadataRules } from './metadata.ts';
import {
  type HydrogenMessageProcessorSpec,
  type HydrogenMessageProcessorSpecInput,
  processorKind,
  processorRules,
  processorSpec,
} from './processor.ts';
import type { CrossFieldRule } from './rules.ts';
import { gatewayStatus, groupStatus, processorStatus } from './status.ts';

/** An object as `parse` returns it: checked, with defaults, deeply frozen. */
export interface ResourceOf<Kind extends string, Spec> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly spec: Spec;
}

/** An object as a user writes it. */
export interface InputOf<Kind extends string, Spec> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: Kind;
  readonly metadata: MetadataInput;
  readonly spec: Spec;
}

/** Gateways and message processors that share one bus. */
export type HydrogenGroup = ResourceOf<typeof groupKind, HydrogenGroupSpec>;
/** The endpoints that clients connect to. */
export type HydrogenGateway = ResourceOf<typeof gatewayKind, HydrogenGatewaySpec>;
/** Which service receives which message. */
export type HydrogenMessageProcessor = ResourceOf<typeof processorKind, HydrogenMessageProcessorSpec>;
/** An object of any kind. */
export type Resource = HydrogenGroup | HydrogenGateway | HydrogenMessageProcessor;

/** A group before defaults. */
export type HydrogenGroupInput = InputOf<typeof groupKind, HydrogenGroupSpecInput>;
/** A gateway before defaults. */
export type HydrogenGatewayInput = InputOf<typeof gatewayKind, HydrogenGatewaySpecInput>;
/** A message processor before defaults. */
export type HydrogenMessageProcessorInput = InputOf<typeof processorKind, HydrogenMessageProcessorSpecInput>;

/** The name of a kind. */
export type Kind = Resource['kind'];

/** The definition of a kind. */
export interface KindDefinition {
  /** One sentence about the kind, for `kubectl explain`. */
  readonly description: string;
  /** Schema of `spec`. */
  readonly schema: TSchema;
  /** Schema of `status`. */
  readonly status: TSchema;
  /** The rules between fields. */
  readonly rules: readonly CrossFieldRule[];
}

/** Every kind by name. */
export const kinds: Readonly<Record<Kind, KindDefinition>> = {
  [groupKind]: {
    description:
      'A set of gateways and message processors that share one bus: one stream of messages and one set of connections.',
    schema: groupSpec,
    status: groupStatus,
    rules: [...metadataRules, ...groupRules],
  },
  [gatewayKind]: {
    description:
      'Where clients connect: WebSocket endpoints, and an API through which services push messages to clients.',
    schema: gatewaySpec,
    status: gatewayStatus,
    rules: [...metadataRules, ...gatewayRules],
  },
  [processorKind]: {
    description: 'Routes the messages of clients to services, and retries failed deliveries.',
    schema: processorSpec,
    status: processorStatus,
    rules: [...metadataRules, ...processorRules],
  },
};
