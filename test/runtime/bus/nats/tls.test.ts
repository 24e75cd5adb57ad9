/** What the certificate of a server must be for. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import { Link } from '../../../../runtime/bus/nats/connection.ts';
import { selfSigned } from '../../../kit/certificate.ts';
import { eventually } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';

const skip = await natsOrSkip();

/**
 * What comes of a connection to `address` of a server whose certificate is for `host`.
 * @param isAsked whether the client asks for TLS; otherwise the server does, and its certificate is trusted everywhere
 */
async function connectTo(address: string, host: string, isAsked = true): Promise<string> {
  const { certificate, key } = selfSigned('nats', 'test', { hosts: [host] });
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-tls-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  await writeFile(certFile, certificate);
  await writeFile(keyFile, key);
  const nats = stack.use(await startNats({ config: `tls { cert_file: "${certFile}", key_file: "${keyFile}" }` }));
  if (!isAsked) {
    const trusted = getCACertificates();
    stack.defer(() => setDefaultCACertificates(trusted));
    setDefaultCACertificates([...trusted, certificate]);
  }
  let failure: unknown;
  const link = new Link({
    clientName: 'test',
    servers: [`${isAsked ? 'tls' : 'nats'}://${address}:${nats.port}`],
    ...(isAsked && { tls: () => ({ ca: certificate }) }),
    onEvent: (event) => {
      if (event.kind === 'connectFailed') failure = event.cause;
    },
  });
  stack.defer(() => link.stop());
  link.start();
  await eventually(() => link.isUp || failure !== undefined);
  return link.isUp ? 'up' : String(failure);
}

for (const [address, host] of [
  ['127.0.0.1', '127.0.0.1'],
  ['localhost', 'localhost'],
] as const) {
  test(`a server at ${address} is trusted with a certificate for ${host}`, { skip }, async () => {
    assert.equal(await connectTo(address, host), 'up');
    assert.equal(await connectTo(address, host, false), 'up', 'a server that requires TLS of a nats:// URL');
  });
}

for (const [address, host, says] of [
  ['127.0.0.1', 'localhost', /IP: 127\.0\.0\.1 is not in the cert's list/],
  ['localhost', '127.0.0.1', /Host: localhost\. is not cert's CN|localhost/],
] as const) {
  test(`a server at ${address} is not trusted with a certificate for ${host}`, { skip }, async () => {
    assert.match(await connectTo(address, host), says);
    assert.match(await connectTo(address, host, false), says);
  });
}
