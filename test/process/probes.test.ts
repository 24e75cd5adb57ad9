import assert from 'node:assert/strict';
import test from 'node:test';
import { createOperatorMetrics } from '../../operator/metrics.ts';
import { ProbeServer, type ProbeSource } from '../../process/probes.ts';
import { createRegistry } from '../../process/registry.ts';
import { ProcessorMetrics } from '../../runtime/role/metrics.ts';

async function get(path: string, source: Partial<ProbeSource>): Promise<{ status: number; text: string }> {
  const server = new ProbeServer({ notReadyReason: () => undefined, registry: createRegistry(), ...source });
  try {
    const port = await server.listen(0, '127.0.0.1');
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  } finally {
    await server.stop();
  }
}

test('answers what is asked for by path, whatever the query', async () => {
  assert.deepEqual(await get('/livez?verbose', {}), { status: 200, text: 'ok\n' });
  assert.deepEqual(await get('/readyz', {}), { status: 200, text: 'ok\n' });
  assert.match((await get('/metrics', {})).text, /^process_cpu_user_seconds_total /m);
  assert.equal((await get('/', {})).status, 404);
});

test('is not ready for a reason, which it says', async () => {
  assert.deepEqual(await get('/readyz', { notReadyReason: () => 'the bus is down' }), {
    status: 503,
    text: 'the bus is down\n',
  });
});

test('answers 500 and goes on when the reason cannot be found', async () => {
  const failing = (): never => {
    throw new Error('no reason');
  };
  assert.deepEqual(await get('/readyz', { notReadyReason: failing }), { status: 500, text: 'Error: no reason\n' });
});

test('answers a scrape with 500 when a collector of the operator fails', async () => {
  const { registry } = createOperatorMetrics({
    queueDepth: () => {
      throw new Error('no depth');
    },
    isLeading: () => true,
    rollouts: () => ({ running: 0, waiting: 0, holders: [] }),
  });
  assert.deepEqual(await get('/metrics', { registry }), { status: 500, text: 'Error: no depth\n' });
});

test('answers a scrape with 500 when a collector of a message processor rejects', async () => {
  const { registry } = new ProcessorMetrics({
    waiting: () => [],
    held: () => [],
    open: () => [],
    oldestSeconds: () => [],
    lanes: () => undefined,
    inFlight: () => 0,
    lag: async () => {
      throw new Error('no lag');
    },
    isBusUp: () => true,
  });
  assert.deepEqual(await get('/metrics', { registry }), { status: 500, text: 'Error: no lag\n' });
});
