/** The types of objects of every kind: as a user writes them, and as `parse` returns them. */
import type { apiVersion } from './contract.ts';
import type { HydrogenGatewaySpec, HydrogenGatewaySpecInput } from './types/gateway.ts';
import type { HydrogenGroupSpec, HydrogenGroupSpecInput } from './types/group.ts';
import type { HydrogenMessageProcessorSpec, HydrogenMessageProcessorSpecInput } from './types/processor.ts';

/** Metadata as a user writes it. */
export interface MetadataInput {
  /** Name of the object: at most 52 lower-case letters, digits and `-`, beginning with a letter. */
  readonly name: string;
  /** Namespace of the object. @default 'default' */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Metadata after defaults; `uid` and `generation` only in objects that come from a cluster. */
export interface Metadata extends MetadataInput {
  readonly namespace: string;
  readonly uid?: string;
  readonly generation?: number;
}

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
export type HydrogenGroup = ResourceOf<'HydrogenGroup', HydrogenGroupSpec>;
/** The endpoints that clients connect to. */
export type HydrogenGateway = ResourceOf<'HydrogenGateway', HydrogenGatewaySpec>;
/** Which service receives which message. */
export type HydrogenMessageProcessor = ResourceOf<'HydrogenMessageProcessor', HydrogenMessageProcessorSpec>;
/** An object of any kind. */
export type Resource = HydrogenGroup | HydrogenGateway | HydrogenMessageProcessor;

/** A group before defaults. */
export type HydrogenGroupInput = InputOf<'HydrogenGroup', HydrogenGroupSpecInput>;
/** A gateway before defaults. */
export type HydrogenGatewayInput = InputOf<'HydrogenGateway', HydrogenGatewaySpecInput>;
/** A message processor before defaults. */
export type HydrogenMessageProcessorInput = InputOf<'HydrogenMessageProcessor', HydrogenMessageProcessorSpecInput>;

/** The name of a kind. */
export type Kind = Resource['kind'];
