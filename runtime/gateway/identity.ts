/** The identity of a gateway: its name, its group, its instance id and its callback URL. */

import { randomBytes } from 'node:crypto';
import { busGroup } from '../../crds/contract.ts';
import type { HydrogenGatewaySpec } from '../../crds/index.ts';
import type { GatewayConfig } from '../role/documents.ts';
import type { LiveConfig } from '../role/live-config.ts';

export type LiveGatewaySpec = LiveConfig<HydrogenGatewaySpec>;

export class GatewayIdentity {
  /** `<namespace>/<name>` */
  readonly gateway: string;
  readonly groupId: string;
  /** First part of the id of every connection: 12 hexadecimal digits. */
  readonly instanceId = randomBytes(6).toString('hex');
  readonly #spec: LiveGatewaySpec;
  readonly #defaultCallbackUrl: string;

  constructor({ gateway, group }: GatewayConfig, spec: LiveGatewaySpec, defaultCallbackUrl: string) {
    const { name, namespace } = gateway.metadata;
    this.gateway = `${namespace}/${name}`;
    this.groupId = busGroup(namespace, group.metadata.name);
    this.#spec = spec;
    this.#defaultCallbackUrl = defaultCallbackUrl;
  }

  /** Base URL of the management API for services to call back; empty: none. */
  get callbackUrl(): string {
    return this.#spec.current.management.callbackUrl ?? this.#defaultCallbackUrl;
  }
}
