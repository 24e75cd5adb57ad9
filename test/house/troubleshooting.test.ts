/** The page is prose, but what it names must exist: reasons, error codes, metrics, log lines, fields, places in pages. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';

import { aspects } from '../../crds/conditions.ts';
import { closeCodes } from '../../runtime/close.ts';
import { errors } from '../../runtime/errors.ts';
import './sources.ts';

const path = 'docs/troubleshooting.md';
const page = readFileSync(path, 'utf8');

/** Reasons of an object that is as it should be, or that says so elsewhere. */
const fine = [
  'Accepted',
  'GroupReady',
  'BusReachable',
  'Available',
  'RolledOut',
  'RolloutWaiting',
  'NotPaused',
  'Paused',
  'GroupPaused',
  'Configured',
];

function section(title: string): string {
  const [, rest = ''] = page.split(`\n## ${title}\n`);
  const [text = ''] = rest.split('\n## ');
  assert.notEqual(text, '', title);
  return text;
}

test('it has a line for every reason why an object is not Ready', () => {
  const lines = section('An object is not Ready');
  const deciding = Object.values(aspects).filter(({ decidesReady }) => decidesReady);
  for (const reason of deciding.flatMap(({ reasons }) => Object.keys(reasons))) {
    if (!fine.includes(reason)) assert.ok(lines.includes(`\`${reason}\``), reason);
  }
});

test('it has a line for every refused upgrade, with its status, and for every close code of a gateway', () => {
  const refused = section('Clients are refused');
  for (const [, status = '', codes = ''] of refused.matchAll(/^\| ([\d, ]+) \| ((?:`HYD_\w+`(?:, )?)+) \|/gm)) {
    const known = [...codes.matchAll(/HYD_\w+/g)].map(
      ([code]) => (errors as Record<string, { http?: number }>)[code]?.http,
    );
    assert.deepEqual(known.map(String), status.split(', '), codes);
  }
  for (const code of [
    'NOT_READY',
    'UNAUTHORIZED',
    'FORBIDDEN',
    'ORIGIN_FORBIDDEN',
    'TOO_MANY_CONNECTIONS',
    'DRAINING',
  ]) {
    assert.match(refused, new RegExp(`\`HYD_${code}\``));
  }
  const closed = section('Clients are cut off');
  for (const code of Object.values(closeCodes)) {
    if (code !== closeCodes.normal) assert.match(closed, new RegExp(`^\\| (\\d{4}, )*${code}\\b`, 'm'), `${code}`);
  }
});

test('every error code, metric and log line that it names exists', () => {
  const codes = new Set(page.match(/HYD_[A-Z0-9_]+/g));
  assert.ok(codes.size > 15);
  for (const code of codes) assert.ok(code in errors, code);

  const manuals = readFileSync('docs/operations.md', 'utf8') + readFileSync('docs/operator.md', 'utf8');
  const metrics = new Set(page.match(/hydrogen_(gateway|processor|operator)_\w+/g));
  assert.ok(metrics.size > 8);
  for (const metric of metrics) assert.ok(manuals.includes(`\`${metric}\``), metric);

  const logs = readFileSync('runtime/role/log.ts', 'utf8') + readFileSync('operator/log.ts', 'utf8');
  const quoted = [...page.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);
  const isLine = (text: string): boolean =>
    /^[a-z]+,?( [a-z]+,?)+$/.test(text) && !/^(hydrogen|kubectl|dlq|nats) /.test(text);
  const lines = quoted.filter(isLine);
  assert.ok(lines.length > 8, lines.join('; '));
  for (const line of lines) assert.ok(logs.includes(`'${line}'`), line);
});

test('every place that it points to exists', () => {
  const anchors = (text: string): string[] =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
  const links = [...page.matchAll(/\]\(([^)]*)\)/g)].map(([, link = '']) => link);
  assert.ok(links.length > 20);
  for (const link of links) {
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : join(dirname(path), file);
    assert.ok(existsSync(target), link);
    if (anchor !== undefined) assert.ok(anchors(readFileSync(target, 'utf8')).includes(anchor), link);
  }
});
