/** Types that the compiler must accept and refuse; `tsc` checks this. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import type { gatewaySpec } from '../../crds/gateway.ts';
import type { groupSpec } from '../../crds/group.ts';
import type {
  Destination,
  Header,
  HttpCall,
  HydrogenGateway,
  HydrogenGatewaySpecInput,
  HydrogenGroup,
  HydrogenGroupSpecInput,
  HydrogenMessageProcessor,
  HydrogenMessageProcessorSpecInput,
  Limits,
  Rule,
  RulesEngine,
  SecretKeyRef,
} from '../../crds/index.ts';
import type { metadata } from '../../crds/metadata.ts';
import type { processorSpec } from '../../crds/processor.ts';
import { specTypes } from '../../tools/spec-types.ts';
import type { Input, Resolved } from './infer.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Whether the same values have both types, with the same fields left out; their spelling may differ. */
type Same<A, B> = [Plain<A>] extends [Plain<B>] ? ([Plain<B>] extends [Plain<A>] ? true : false) : false;
/** `T` with each field that may be left out as one that may be undefined and is there. */
type Plain<T> = T extends object ? { [K in keyof T]-?: Plain<T[K]> | (undefined extends T[K] ? 'absent' : never) } : T;
const claim = <T extends true>(value: T): void => assert.ok(value);

type Gateway = HydrogenGateway['spec'];
type Processor = HydrogenMessageProcessor['spec'];

test('types a field with a default as present, and one without as optional', () => {
  claim<Equal<Gateway['limits']['maxMessageBytes'], number>>(true);
  claim<Equal<Gateway['mode'], 'Bidirectional' | 'ServerToClient'>>(true);
  claim<Equal<Gateway['subprotocols'], readonly string[] | undefined>>(true);
  claim<Equal<NonNullable<Gateway['hooks']['disconnect']>['maxAttempts'], number>>(true);
  claim<Equal<Gateway['endpoints'], readonly { readonly path: string }[]>>(true);
  claim<Equal<Processor['delivery']['backoffSeconds'], readonly number[]>>(true);
  claim<Equal<HydrogenGroup['spec']['stream']['maxBytes'], number | string>>(true);
  claim<Equal<Limits, Gateway['limits']>>(true);
});

test('the interfaces of the specs are what the schemas infer', () => {
  claim<Same<HydrogenGroup['spec'], Resolved<typeof groupSpec>>>(true);
  claim<Same<HydrogenGroupSpecInput, Input<typeof groupSpec>>>(true);
  claim<Same<Gateway, Resolved<typeof gatewaySpec>>>(true);
  claim<Same<HydrogenGatewaySpecInput, Input<typeof gatewaySpec>>>(true);
  claim<Same<Processor, Resolved<typeof processorSpec>>>(true);
  claim<Same<HydrogenMessageProcessorSpecInput, Input<typeof processorSpec>>>(true);
  claim<Same<HydrogenGroup['metadata'], Resolved<typeof metadata>>>(true);
});

test('the interfaces of the specs are generated from the schemas; `npm run reference` rewrites them', () => {
  for (const [path, text] of Object.entries(specTypes())) {
    assert.equal(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'), text, path);
  }
});

test('types the parts that kinds share', () => {
  claim<Equal<SecretKeyRef, { readonly name: string; readonly key: string }>>(true);
  claim<Equal<HttpCall['headers'], readonly Header[]>>(true);
  claim<Equal<Header['value'], string | undefined>>(true);
  claim<Equal<Rule['destination'], Destination>>(true);
  claim<Equal<RulesEngine['allowedHosts'], readonly string[]>>(true);
  claim<Destination extends HttpCall ? true : false>(true);
});

test('types input so that only fields with a default may be left out', () => {
  const gateway: HydrogenGatewaySpecInput = {
    groupRef: { name: 'chat' },
    endpoints: [{ path: '/chat' }],
    authorizer: { http: { url: 'http://auth' } },
    limits: { maxConnections: 1 },
  };
  // @ts-expect-error groupRef is required
  const withoutGroup: HydrogenGatewaySpecInput = { endpoints: [] };
  // @ts-expect-error maxConnections is a number
  const wrongType: HydrogenGatewaySpecInput = { ...gateway, limits: { maxConnections: '1' } };
  // @ts-expect-error there is no such mode
  const wrongWord: HydrogenGatewaySpecInput = { ...gateway, mode: 'Both' };
  const unknown: HydrogenMessageProcessorSpecInput = {
    groupRef: { name: 'chat' },
    // @ts-expect-error there is no such field
    routing: { rule: [] },
  };
  assert.equal([gateway, withoutGroup, wrongType, wrongWord, unknown].length, 5);
});
