/** The start of every test on a cluster: a platform, NATS, a service that echoes, and a chat on them. */

import { after, afterEach, before } from 'node:test';

import { clusterOrSkip } from '../kit/control-plane.ts';
import { startDestination, type TestDestination } from '../kit/destination.ts';
import { everythingTo, gatewayDocument, groupDocument, processorDocument } from '../kit/documents.ts';
import { natsOrSkip, startNats, type TestNats } from '../kit/nats.ts';
import { type Namespace, type Platform, startPlatform } from './platform.ts';

export interface Stage {
  readonly platform: Platform;
  readonly nats: TestNats;
  /** Answers every message with `echo <message>`. */
  readonly echo: TestDestination;
  /** A namespace in which a group, a gateway and a processor are Ready; `specs` are merged over theirs. */
  chat(namespace: string, specs?: ChatSpecs): Promise<Namespace>;
  /** The three documents. */
  documents(specs?: ChatSpecs): { readonly group: object; readonly gateway: object; readonly processor: object };
}

export interface ChatSpecs {
  readonly group?: Record<string, unknown>;
  readonly gateway?: Record<string, unknown>;
  readonly processor?: Record<string, unknown>;
  /** Where messages go. @default - the service that echoes */
  readonly url?: string;
}

/** The names of the three objects, for kubectl. */
export const chatResources = ['hgrp/chat', 'hgw/chat', 'hmp/chat'] as const;

/** Why the tests cannot run here, or false. */
export async function stageOrSkip(): Promise<string | false> {
  return (await clusterOrSkip()) || (await natsOrSkip());
}

/** One stage for all tests of a file, which exists while they run. When a test fails, the output of the pods is printed. */
export function useStage(skip: string | false): Stage {
  const stack = new AsyncDisposableStack();
  let parts: readonly [Platform, TestNats, TestDestination] | undefined;
  const there = (): NonNullable<typeof parts> => {
    if (parts === undefined) throw new Error('the stage is there only while tests run');
    return parts;
  };

  before(async () => {
    if (skip !== false) return;
    const nats = stack.use(await startNats());
    const echo = stack.use(await startDestination((request) => ({ body: `echo ${request.json().message}` })));
    parts = [stack.use(await startPlatform()), nats, echo];
  });
  // Also when one of them could not be started.
  after(() => stack.disposeAsync());
  afterEach((context) => {
    const { passed, name } = context as { readonly passed?: boolean; readonly name: string }; // a test, not a suite
    if (passed === false) process.stderr.write(`\n--- ${name}\n${parts?.[0].kubelet.allLogs() ?? ''}\n`);
  });

  const documents: Stage['documents'] = (specs = {}) => {
    const [, nats, echo] = there();
    const routing = everythingTo(specs.url ?? echo.url, { reply: true });
    return {
      group: groupDocument({ nats: { servers: [nats.url] }, ...specs.group }),
      gateway: gatewayDocument({ drain: { periodSeconds: 1 }, ...specs.gateway }),
      processor: processorDocument({ routing, ...specs.processor }),
    };
  };

  return {
    get platform() {
      return there()[0];
    },
    get nats() {
      return there()[1];
    },
    get echo() {
      return there()[2];
    },
    documents,
    chat: async (name, specs) => {
      const namespace = await there()[0].namespace(name);
      await namespace.apply(...Object.values(documents(specs)));
      await namespace.untilReady(...chatResources);
      return namespace;
    },
  };
}
