import assert from 'node:assert/strict';
import test from 'node:test';
import { addressKey, plainAddress } from '../../../runtime/socket/address.ts';
import { TrustedProxies } from '../../../runtime/socket/trusted-proxies.ts';

const proxies = new TrustedProxies({ current: { trustedProxies: ['10.0.0.0/8', '2001:db8:1::/48'] } });

const cases: [title: string, socket: string, headers: Record<string, string>, client: string][] = [
  ['nothing without headers', '10.0.0.1', {}, '10.0.0.1'],
  ['nothing of what a stranger says', '192.0.2.9', { 'x-forwarded-for': '198.51.100.1' }, '192.0.2.9'],
  ['a trusted proxy', '10.0.0.1', { 'x-forwarded-for': '192.0.2.1' }, '192.0.2.1'],
  [
    'a trusted proxy over a socket for both families',
    '::ffff:10.0.0.1',
    { 'x-forwarded-for': '192.0.2.1' },
    '192.0.2.1',
  ],
  ['the right end', '10.0.0.1', { 'x-forwarded-for': '198.51.100.66, 192.0.2.1' }, '192.0.2.1'],
  ['two trusted proxies', '10.0.0.1', { 'x-forwarded-for': '6.6.6.6, 192.0.2.1,10.0.0.2' }, '192.0.2.1'],
  ['proxies only', '10.0.0.1', { 'x-forwarded-for': '10.0.0.3, 10.0.0.2' }, '10.0.0.3'],
  ['an entry that is no address', '10.0.0.1', { 'x-forwarded-for': '192.0.2.1, unknown' }, '10.0.0.1'],
  ['no address behind a proxy', '10.0.0.1', { 'x-forwarded-for': 'evil, 10.0.0.2' }, '10.0.0.2'],
  ['an empty header', '10.0.0.1', { 'x-forwarded-for': '' }, '10.0.0.1'],
  ['ports and brackets', '10.0.0.1', { 'x-forwarded-for': '[2001:DB8:2::0001]:4711' }, '2001:db8:2::1'],
  ['IPv6 without brackets', '2001:db8:1::9', { 'x-forwarded-for': '2001:db8:2::1' }, '2001:db8:2::1'],
  ['a mapped address', '10.0.0.1', { 'x-forwarded-for': '::ffff:192.0.2.1' }, '192.0.2.1'],
  ['Forwarded', '10.0.0.1', { forwarded: 'for=198.51.100.66, for=192.0.2.1;proto=https;by=10.0.0.1' }, '192.0.2.1'],
  ['Forwarded in quotes', '10.0.0.1', { forwarded: 'proto=http; For="[2001:db8:2::1]:80"' }, '2001:db8:2::1'],
  ['a comma in quotes', '10.0.0.1', { forwarded: 'for=192.0.2.1;by="a,for=6.6.6.6"' }, '192.0.2.1'],
  ['an obfuscated hop', '10.0.0.1', { forwarded: 'for=192.0.2.1, for=_secret' }, '10.0.0.1'],
  ['both, when they agree', '10.0.0.1', { forwarded: 'for=192.0.2.1', 'x-forwarded-for': '192.0.2.1' }, '192.0.2.1'],
  ['neither, when they do not', '10.0.0.1', { forwarded: 'for=6.6.6.6', 'x-forwarded-for': '192.0.2.1' }, '10.0.0.1'],
];

for (const [title, socket, headers, client] of cases) {
  test(`believes ${title}`, () => assert.equal(proxies.clientAddress(socket, headers), client));
}

test('believes nobody by default, and follows the configuration', () => {
  const policy: { current: { trustedProxies?: string[] } } = { current: {} };
  const live = new TrustedProxies(policy);
  const headers = { 'x-forwarded-for': '192.0.2.1' };
  assert.equal(live.clientAddress('::ffff:127.0.0.1', headers), '127.0.0.1');
  policy.current = { trustedProxies: ['127.0.0.0/8'] };
  assert.equal(live.clientAddress('::ffff:127.0.0.1', headers), '192.0.2.1');
  policy.current = {};
  assert.equal(live.clientAddress('127.0.0.1', headers), '127.0.0.1');
});

test('counts IPv6 by /64 and writes addresses in one form', () => {
  assert.equal(addressKey('2001:db8::1'), addressKey('2001:db8:0:0:ffff::'));
  assert.notEqual(addressKey('2001:db8::1'), addressKey('2001:db8:0:1::1'));
  assert.equal(addressKey('192.0.2.1'), '192.0.2.1');
  assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1');
  assert.equal(plainAddress('2001:0DB8:0:0::1'), '2001:db8::1');
});
