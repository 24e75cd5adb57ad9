/** A gateway behind a real nginx and a real HAProxy, with the configurations of examples/proxies. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Client, connect, refusal } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGateway, type TestGateway } from '../kit/gateway.ts';
import { missingProgram, type ProxyProgram, proxyPrograms, startProxy } from '../kit/proxy-program.ts';

for (const name of Object.keys(proxyPrograms) as ProxyProgram[]) {
  const skip = await missingProgram(name);

  test(`${name} says who the client is, and a client cannot`, { skip }, async () => {
    await using auth = await startDestination(() => ({ body: '{}' }));
    await using gateway = await startGateway({
      spec: { trustedProxies: ['127.0.0.1/32'], authorizer: { http: { url: auth.url } } },
    });
    await using proxy = await startProxy(name, [gateway.gateway.ports]);
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
    await using proxy = await startProxy(name, [gateway.gateway.ports]);
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
    await using proxy = await startProxy(name, [gateway.gateway.ports]);
    await using client = await connect(proxy.url('/chat'));
    await gateway.gateway.stop('SIGTERM', 0);
    assert.equal((await client.closed).code, 1001);
  });

  test(`${name} passes on that a client has left`, { skip }, async () => {
    await using hook = await startDestination();
    await using gateway = await startGateway({ spec: { hooks: { disconnect: { url: hook.url } } } });
    await using proxy = await startProxy(name, [gateway.gateway.ports]);
    await using client = await connect(proxy.url('/chat'));
    client.socket.terminate();
    await eventually(() => hook.requests.length === 1);
    assert.equal(hook.requests[0]?.json().code, 1006);
  });

  test(`${name} keeps an idle client for longer than its time-out, since the gateway pings`, { skip }, async () => {
    await using gateway = await startGateway({ spec: { heartbeat: { intervalSeconds: 1, timeoutSeconds: 60 } } });
    await using proxy = await startProxy(name, [gateway.gateway.ports], idleSeconds(name, 4));
    await using client = await connect(proxy.url('/chat'));
    let pings = 0;
    client.socket.on('ping', () => {
      pings += 1;
    });
    await eventually(() => pings === 7, { timeoutMs: 60_000 });
    client.send('still here');
    await eventually(() => gateway.messages.length === 1);
  });

  test(`${name} cuts a client that is idle for its time-out: 1006 for client and hook`, { skip }, async () => {
    await using hook = await startDestination();
    const hooks = { disconnect: { url: hook.url } };
    await using gateway = await startGateway({ spec: { hooks, heartbeat: { intervalSeconds: 60 } } });
    await using proxy = await startProxy(name, [gateway.gateway.ports], idleSeconds(name, 1));
    await using client = await connect(proxy.url('/chat'));
    assert.equal((await client.closed).code, 1006);
    await eventually(() => hook.requests.length === 1);
    assert.equal(hook.requests[0]?.json().code, 1006);
  });

  test(`${name} keeps its clients while it is reloaded, and cuts them when its old process ends`, {
    skip,
  }, async () => {
    await using hook = await startDestination();
    await using old = await startGateway({ spec: { hooks: { disconnect: { url: hook.url } } } });
    await using next = await startGateway();
    await using proxy = await startProxy(name, [old.gateway.ports], oldProcessSeconds(name, 5));
    await using client = await connect(proxy.url('/chat'));
    await proxy.reload([next.gateway.ports]);
    await eventually(
      async () => {
        await using newcomer = await connect(proxy.url('/chat'));
        newcomer.send('new');
        await eventually(() => old.messages.length + next.messages.length > 0);
        old.messages.length = 0;
        return next.messages.length > 0;
      },
      { timeoutMs: 30_000 },
    );
    client.send('still here');
    await eventually(() => old.messages.some(({ body }) => body.message === 'still here'));
    assert.equal((await client.closed).code, 1006);
    await eventually(() => hook.requests.some((request) => request.json().code === 1006));
  });

  test(`${name} that is stopped cuts its clients: 1006 for client and hook`, { skip }, async () => {
    await using hook = await startDestination();
    await using gateway = await startGateway({ spec: { hooks: { disconnect: { url: hook.url } } } });
    await using proxy = await startProxy(name, [gateway.gateway.ports]);
    await using client = await connect(proxy.url('/chat'));
    await proxy.stop();
    assert.equal((await client.closed).code, 1006);
    await eventually(() => hook.requests.length === 1);
    assert.equal(hook.requests[0]?.json().code, 1006);
  });

  test(`${name} sends who was drained with 1001 to another gateway, and nobody to one that is gone`, {
    skip,
  }, async () => {
    await using leaving = await startGateway();
    await using staying = await startGateway();
    await using proxy = await startProxy(name, [leaving.gateway.ports, staying.gateway.ports]);
    const both: Client[] = [];
    await using stack = new AsyncDisposableStack();
    await eventually(async () => {
      both.push(stack.use(await connect(proxy.url('/chat'))));
      return opened(leaving) > 0 && opened(staying) > 0;
    });
    const left = opened(leaving);
    await leaving.gateway.stop('SIGTERM', 0);
    await eventually(() => both.filter(({ socket }) => socket.readyState === socket.CLOSED).length === left);
    for (let index = 0; index < 8; index++) stack.use(await connect(proxy.url('/chat')));
    assert.equal(opened(staying), both.length - left + 8);
  });

  test(`${name} carries more clients than it does by default`, { skip }, async () => {
    await using gateway = await startGateway();
    const changes = name === 'nginx' ? ([['worker_processes auto', 'worker_processes 1']] as const) : [];
    await using proxy = await startProxy(name, [gateway.gateway.ports], changes);
    await using stack = new AsyncDisposableStack();
    for (let index = 0; index < 300; index++) stack.use(await connect(proxy.url('/chat')));
    assert.equal(opened(gateway), 300);
  });
}

/** Connections that were opened. */
function opened({ lines }: TestGateway): number {
  return lines.filter(({ msg }) => msg === 'connection opened').length;
}

/** The settings that end what is idle, with another number of seconds. */
function idleSeconds(name: ProxyProgram, seconds: number): (readonly [from: string, to: string])[] {
  if (name === 'haproxy') return [['timeout tunnel 1h', `timeout tunnel ${seconds}s`]];
  return ['read', 'send'].map((side) => [`proxy_${side}_timeout 1h`, `proxy_${side}_timeout ${seconds}s`]);
}

/** With a bound for processes that were replaced by a reload. */
function oldProcessSeconds(name: ProxyProgram, seconds: number): (readonly [from: string, to: string])[] {
  if (name === 'haproxy') return [['defaults', `global\n  hard-stop-after ${seconds}s\ndefaults`]];
  return [['worker_processes', `worker_shutdown_timeout ${seconds}s;\nworker_processes`]];
}
