/** Images from a registry of one's own: one option for the operator and everything that it runs, another for NATS. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { gatewayDocument, groupDocument } from '../kit/documents.ts';
import { stageOrSkip } from './chat.ts';
import { startPlatform } from './platform.ts';

const skip = await stageOrSkip();

test('the image of the operator is that of gateways, and managed NATS has its own', { skip }, async () => {
  const mirror = { image: 'registry.test/hydrogen:1', natsImage: 'registry.test/nats:1' };
  await using platform = await startPlatform({ mirror });
  const namespace = await platform.namespace('mirror');
  const maxBytes = '64Mi';
  const nats = { managed: { replicas: 1, storage: { size: '1Gi' } } };
  await namespace.apply(
    groupDocument({ nats, stream: { maxBytes }, deadLetter: { maxBytes } }),
    gatewayDocument({ mode: 'ServerToClient', endpoints: [{ path: '/feed' }] }),
  );
  await namespace.untilReady('hgrp/chat', 'hgw/chat');
  const images = await Promise.all(
    ['nats', 'gateway'].map(async (component) => {
      const pods = await namespace.pods(component as 'nats' | 'gateway');
      return pods.map(({ image }) => image);
    }),
  );
  assert.deepEqual(images, [[mirror.natsImage], [mirror.image]]);
});
