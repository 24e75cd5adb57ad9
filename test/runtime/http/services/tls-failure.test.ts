import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createHttpClient } from '../../../../runtime/http/client/client.ts';
import { describeCause } from '../../../../runtime/http/services/service.ts';
import { selfSigned } from '../../../kit/certificate.ts';
import { startDestination } from '../../../kit/destination.ts';

/** What is said of a call to `url`. */
async function failureOf(url: string): Promise<string> {
  const http = createHttpClient();
  const call = { url: new URL(url), headers: [], body: '{}', timeoutMs: 5_000, maxAnswerBytes: 1_000, readBody: true };
  const result = await http.post(call);
  await http.close();
  assert(result.kind === 'unreachable', result.kind);
  return describeCause(result.cause);
}

async function failureOfServer(options: ServerOptions): Promise<string> {
  const server = createServer(options, (_request, response) => response.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await failureOf(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test('says in words that nobody knows the authority of a certificate', async () => {
  const { certificate: cert, key } = selfSigned('service', 'test', { hosts: ['127.0.0.1'] });
  assert.match(await failureOfServer({ cert, key }), /^certificate signed by unknown authority \([A-Z_]+\)$/);
});

test('says in words that the other side speaks no TLS, without lines of OpenSSL', async () => {
  await using plain = await startDestination(() => undefined);
  const failure = await failureOf(plain.url.replace('http:', 'https:'));
  assert.match(failure, /^other side does not speak TLS \(ERR_SSL_[A-Z_]+\)$/);
});

test('says in words that no common version of TLS exists', async () => {
  const { certificate: cert, key } = selfSigned('service', 'test', { hosts: ['127.0.0.1'] });
  const ciphers = 'ALL:@SECLEVEL=0';
  const failure = await failureOfServer({ cert, key, ciphers, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' });
  assert.match(failure, /TLS/);
  assert.doesNotMatch(failure, /\.c:|routines/);
});
