/** The kinds of the API. */
import type { TSchema } from 'typebox';

import { gatewayKind, gatewayRules, gatewaySpec } from './gateway.ts';
import { groupKind, groupRules, groupSpec } from './group.ts';
import { metadataRules } from './metadata.ts';
import { processorKind, processorRules, processorSpec } from './processor.ts';
import type { Kind } from './resources.ts';
import type { CrossFieldRule } from './rules.ts';
import { gatewayStatus, groupStatus, processorStatus } from './status.ts';

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
