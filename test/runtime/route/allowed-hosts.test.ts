import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HydrogenError } from '../../../runtime/errors.ts';
import { compileAllowedHosts } from '../../../runtime/route/allowed-hosts.ts';

const cases: readonly (readonly [pattern: string, url: string, isAllowed: boolean])[] = [
  ['orders', 'http://orders/', true],
  ['orders', 'http://orders:8080/a?b', true],
  ['orders', 'https://orders', true],
  ['orders', 'http://ORDERS/', true],
  ['ORDERS', 'http://orders/', true],
  ['orders', 'http://orders./', true],
  ['orders.', 'http://orders/', true],
  ['orders', 'http://orders.evil/', false],
  ['orders', 'http://evil-orders/', false],
  ['orders', 'http://xorders/', false],
  ['orders', 'http://evil/orders', false],
  ['orders', 'http://evil/?orders', false],
  ['orders', 'http://evil#orders', false],
  ['orders', 'http://evil/#@orders/', false],
  ['orders', 'http://orders@evil/', false],
  ['orders', 'http://evil@orders/', false],
  ['orders', 'http://user:word@orders/', false],
  ['orders', 'http://orders:80@evil/', false],
  ['orders', 'http://evil\\@orders/', false],
  ['orders', 'http:\\\\orders\\', true],
  ['orders', 'http://orders%2eevil/', false],
  ['orders', 'http://orders%00.evil/', false],
  ['orders', 'http://or\tders/', true],
  ['orders', 'http://orders\n.evil/', false],
  ['orders', '//orders/', false],
  ['orders', '/orders', false],
  ['orders', 'orders', false],
  ['orders', '', false],
  ['orders', 'file:///orders', false],
  ['orders', 'file://orders/etc/passwd', false],
  ['orders', 'ftp://orders/', false],
  ['orders', 'ws://orders/', false],
  ['orders', 'gopher://orders/', false],
  ['orders', 'javascript:orders', false],
  ['orders', 'data:text/plain,orders', false],
  ['orders', 'unix://orders', false],
  ['*.svc.cluster.local', 'http://a.svc.cluster.local/', true],
  ['*.svc.cluster.local', 'http://a.b.svc.cluster.local:81/', true],
  ['*.svc.cluster.local', 'http://A.SVC.Cluster.Local./', true],
  ['*.svc.cluster.local', 'http://svc.cluster.local/', false],
  ['*.svc.cluster.local', 'http://.svc.cluster.local/', false],
  ['*.svc.cluster.local', 'http://evilsvc.cluster.local/', false],
  ['*.svc.cluster.local', 'http://a.svc.cluster.local.evil/', false],
  ['*.svc.cluster.local', 'http://a.svc.cluster.local..evil/', false],
  ['*.svc.cluster.local', 'http://a.svc.cluster.local@evil/', false],
  ['*.svc.cluster.local', 'http://evil/.svc.cluster.local', false],
  ['orders:8080', 'http://orders:8080/', true],
  ['orders:8080', 'http://orders/', false],
  ['orders:8080', 'http://orders:80801/', false],
  ['orders:80', 'http://orders/', true],
  ['orders:80', 'https://orders/', false],
  ['orders:443', 'https://orders/', true],
  ['*.example.com:8443', 'https://a.example.com:8443/', true],
  ['*.example.com:8443', 'https://a.example.com/', false],
  ['[::1]', 'http://[::1]:8080/', true],
  ['[::1]', 'http://[0:0:0:0:0:0:0:1]/', true],
  ['[0:0:0:0:0:0:0:1]', 'http://[::1]/', true],
  ['[::1]:81', 'http://[::1]:81/', true],
  ['[::1]:81', 'http://[::1]/', false],
  ['[::1]', 'http://[::2]/', false],
  ['[::1]', 'http://[::1%25eth0]/', false],
  ['10.0.0.1', 'http://10.0.0.1/', true],
  ['10.0.0.1', 'http://0xa.0.0.1/', true],
  ['10.0.0.1', 'http://167772161/', true],
  ['10.0.0.1', 'http://10.0.0.11/', false],
  ['10.0.0.1', 'http://[::ffff:10.0.0.1]/', false],
  ['bücher.example', 'http://xn--bcher-kva.example/', true],
  ['xn--bcher-kva.example', 'http://BÜCHER.example/', true],
  ['a_b', 'http://a_b/', true],
];

for (const [pattern, url, isAllowed] of cases) {
  test(`${pattern} ${isAllowed ? 'admits' : 'refuses'} ${JSON.stringify(url)}`, () => {
    const verdict = compileAllowedHosts([pattern])(url);
    assert.equal(verdict.isAllowed, isAllowed);
    if (verdict.isAllowed) assert.equal(new URL(url).href, verdict.url.href);
  });
}

test('allows what any of several patterns allows', () => {
  const admit = compileAllowedHosts(['a', '*.b']);
  assert(admit('http://a/').isAllowed && admit('http://x.b/').isAllowed);
  assert(!admit('http://c/').isAllowed);
});

test('says why without quoting path or credentials', () => {
  const verdict = compileAllowedHosts(['a'])('http://evil:81/secret?secret');
  assert(!verdict.isAllowed);
  assert.equal(verdict.reason, 'host evil:81');
});

for (const pattern of [
  '',
  '*',
  '*.',
  '**.a',
  'a.*.b',
  'http://a',
  'a/b',
  'a b',
  'a@b',
  'a:b',
  'a:99999',
  '*.[::1]',
  '*.10.0.0.1',
  '[::1',
  'a?b',
  'a#b',
]) {
  test(`refuses the pattern ${JSON.stringify(pattern)}`, () => {
    assert.throws(
      () => compileAllowedHosts([pattern]),
      (err) => err instanceof HydrogenError && err.code === 'HYD_CONFIG_INVALID',
    );
  });
}

const control: [url: string, isAllowed: boolean][] = [
  ['https://kubernetes.default.svc.cluster.local/api', false],
  ['https://kubernetes.default.svc.cluster.local./api', false],
  ['http://chat-management.chat.svc.cluster.local:8081/', false],
  ['http://orders.chat.svc.cluster.local:8081/', true],
  ['http://user-management.shop.svc.cluster.local/', true],
  ['http://kubernetes.shop.svc.cluster.local/', true],
];

test('a suffix does not cover the API server and the management API, which can be named', () => {
  const bySuffix = compileAllowedHosts(['*.svc.cluster.local']);
  for (const [url, isAllowed] of control) assert.equal(bySuffix(url).isAllowed, isAllowed, url);
  const named = control.map(([url]) => new URL(url).hostname.replace(/\.$/, ''));
  const byName = compileAllowedHosts(named);
  for (const [url] of control) assert.equal(byName(url).isAllowed, true, url);
});
