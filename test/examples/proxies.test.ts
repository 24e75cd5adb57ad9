/** A gateway behind a real nginx and a real HAProxy, with the configurations of examples/proxies. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, refusal } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGateway } from '../kit/gateway.ts';
import { missingProgram, type ProxyProgram, proxyPrograms, startProxy } from '../kit/proxy-program.ts';

for (const name of Object.keys(proxyPrograms) as ProxyProgram[]) {
  const skip = await missingProgram(name);

  test(`${name} says who the client is, and a client cannot`, { skip }, async () => {
    await using auth = await startDestination(() => ({ body: '{}' }));
    await using gateway = await startGateway({
      spec: { trustedProxies: ['127.0.0.1/32'], authorizer: { http: { url: auth.url } } },
    });
    await using proxy = await startProxy(name, gateway.gateway.ports.client);
    // From another address of this machine than the proxy's own, with every lie that it may try.
    const headers = { 'x-forwarded-for': '6.6.6.6', forwarded: 'for=6.6.6.6' };
    await using client = await connect(proxy.url('/chat?a=b'), { headers, localAddress: '127.0.0.7' });
    client.send('hi');
    await eventually(() => gateway.messages.length === 1);
    assert.equal(auth.requests[0]?.json().remote_address, '127.0.0.7');
    assert.deepEqual(auth.requests[0]?.json().query, [['a', 'b']]);
  });

  test(`${name} passes messages, close codes and refusals on`, { skip }, async () => {
    await using gateway = await startGateway({ spec: { subprotocols: ['v1'] } });
    await using proxy = await startProxy(name, gateway.gateway.ports.client);
    const { status, body } = await refusal(proxy.url('/nowhere'));
    assert.deepEqual([status, body.code], [404, 'HYD_UNKNOWN_ENDPOINT']);
    await using client = await connect(proxy.url('/chat'), { subprotocols: ['v1'] });
    assert.equal(client.socket.protocol, 'v1');
    client.send('x'.repeat(200_000));
    await eventually(() => gateway.messages.length === 1);
    const id = String(gateway.messages[0]?.body.connection_id);
    const send = await fetch(`${gateway.managementUrl}/connections/${id}/_send`, { method: 'POST', body: 'push' });
    assert.equal(send.status, 200);
    assert.equal(await client.nextText(), 'push');
    await fetch(`${gateway.managementUrl}/connections/${id}/_disconnect?code=4001`, { method: 'POST', body: 'bye' });
    assert.deepEqual(await client.closed, { code: 4001, reason: 'bye' });
  });

  test(`${name} passes a drain on: 1001 for who is there`, { skip }, async () => {
    await using gateway = await startGateway();
    await using proxy = await startProxy(name, gateway.gateway.ports.client);
    await using client = await connect(proxy.url('/chat'));
    await gateway.gateway.stop('SIGTERM', 0);
    assert.equal((await client.closed).code, 1001);
  });

  test(`${name} passes on that a client has left`, { skip }, async () => {
    await using hook = await startDestination();
    await using gateway = await startGateway({ spec: { hooks: { disconnect: { url: hook.url } } } });
    await using proxy = await startProxy(name, gateway.gateway.ports.client);
    await using client = await connect(proxy.url('/chat'));
    client.socket.terminate();
    await eventually(() => hook.requests.length === 1);
    assert.equal(hook.requests[0]?.json().code, 1006);
  });
}
