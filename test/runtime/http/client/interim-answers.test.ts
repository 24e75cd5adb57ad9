/** Interim answers that nobody asked for, as docs/wire.md has them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHttpClient } from '../../../../runtime/http/client/client.ts';
import { startDestination } from '../../../kit/destination.ts';

async function answerAfter(interim: string): Promise<string> {
  await using service = await startDestination((_request, response) => {
    response.socket?.write(`HTTP/1.1 ${interim}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone`);
    return 'handled';
  });
  await using client = Object.assign(createHttpClient(), {
    [Symbol.asyncDispose](this: ReturnType<typeof createHttpClient>) {
      return this.close();
    },
  });
  const result = await client.post({
    url: new URL(service.url),
    headers: ['content-type', 'text/plain'],
    body: 'hello',
    timeoutMs: 5_000,
    maxAnswerBytes: 1_000,
    readBody: true,
  });
  if (result.kind === 'answer') return Buffer.from(result.body).toString();
  return result.kind === 'unreachable' ? result.cause.message : result.kind;
}

for (const interim of ['102 Processing', '103 Early Hints', '199 Whatever']) {
  test(`skips an unsolicited ${interim}`, async () => assert.equal(await answerAfter(interim), 'done'));
}

test('takes an unsolicited 100 Continue for a broken service: see docs/decisions/2026-11-27-unsolicited-continue.md', async () => {
  assert.match(await answerAfter('100 Continue'), /bad response/);
});
