/** Every decoder of what others write, on inputs that a seed decides: none throws, and what it accepts is what it promises. */

import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import { parseDocuments } from '../../crds/documents.ts';
import { InvalidDocuments } from '../../crds/index.ts';
import { parseAnnouncement } from '../../runtime/bus/nats/announcements.ts';
import { letterJson, readLetter } from '../../runtime/bus/nats/letter.ts';
import { readParkedFacts } from '../../runtime/bus/nats/parked.ts';
import {
  checkedValue,
  headerBlock,
  headerNames,
  headerValue,
  judgeAck,
  parseAckSubject,
  statusCodeOf,
} from '../../runtime/bus/nats/wire.ts';
import { closeCodes, isCloseReason, isServiceCloseCode } from '../../runtime/close.ts';
import { parseRetryAfter } from '../../runtime/http/client/retry-after.ts';
import { nameProblem } from '../../runtime/names.ts';
import {
  decodeAnswer,
  decodeBroadcast,
  decodeReplies,
  decodeRequest,
  decodeStatuses,
  encodeAnswer,
  encodeBroadcast,
  encodeReplies,
  encodeRequest,
  encodeStatuses,
} from '../../runtime/peers/codec.ts';
import { isConnectionId } from '../../runtime/peers/connection-id.ts';
import {
  decodeInstanceResult,
  decodeQuestion,
  encodeInstanceResult,
  encodeQuestion,
  maxList,
} from '../../runtime/peers/questions.ts';
import { compileAllowedHosts } from '../../runtime/route/allowed-hosts.ts';
import { readMessageText } from '../../runtime/route/message-text.ts';
import { gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { fuzz } from '../kit/fuzz.ts';

const connectionId = '0123456789ab-0123456789abcdef0123456789abcdef';
const data = Buffer.from('grüß dich');

test('requests to the owner of a connection', () => {
  const samples = [
    encodeRequest({ kind: 'send', connectionId, data, isBinary: false }),
    encodeRequest({ kind: 'send', connectionId, data, isBinary: true }),
    encodeRequest({ kind: 'reply', connectionId, data, isBinary: false }),
    encodeRequest({ kind: 'disconnect', connectionId, closeCode: 4000, reason: 'ünd' }),
    encodeRequest({ kind: 'describe', connectionId }),
    encodeRequest({ kind: 'join', connectionId, channel: 'ä' }),
    encodeRequest({ kind: 'leave', connectionId, channel: 'room-1' }),
  ];
  let accepted = 0;
  fuzz(samples, (input) => {
    const request = decodeRequest(input);
    if (request === undefined) return;
    accepted += 1;
    assert.ok(isConnectionId(request.connectionId));
    if ('data' in request) assert.ok(request.isBinary || isUtf8(request.data));
    if (request.kind === 'disconnect') {
      assert.ok(isServiceCloseCode(request.closeCode) || request.closeCode === closeCodes.policyViolation);
      assert.ok(isCloseReason(request.reason));
    }
    assert.deepEqual(Buffer.from(encodeRequest(request)), input);
  });
  assert.ok(accepted > 100, `${accepted} inputs were accepted: the samples prove little`);
});

test('questions about users, channels and lists', () => {
  const samples = [
    encodeQuestion({ kind: 'send', data, isBinary: false, except: undefined, key: undefined }),
    encodeQuestion({ kind: 'send', data, isBinary: false, except: undefined, key: 'order-17' }),
    encodeQuestion({ kind: 'send', data, isBinary: true, except: connectionId, key: '~'.repeat(128) }),
    encodeQuestion({ kind: 'disconnect', closeCode: 4000, reason: 'ünd' }),
    encodeQuestion({ kind: 'join', channel: 'ä/b' }),
    encodeQuestion({ kind: 'leave', channel: 'room-1' }),
    encodeQuestion({
      kind: 'list',
      filter: { limit: 10, after: connectionId, endpoint: '/a', user: 'ü', channel: 'c' },
    }),
  ];
  let accepted = 0;
  fuzz(samples, (input) => {
    const question = decodeQuestion(input);
    if (question === undefined) return;
    accepted += 1;
    if (question.kind === 'send') assert.ok(question.isBinary || isUtf8(question.data));
    if ('channel' in question) assert.equal(nameProblem(question.channel), undefined);
    if (question.kind === 'list') assert.ok(question.filter.limit >= 0 && question.filter.limit <= maxList);
    else assert.deepEqual(Buffer.from(encodeQuestion(question)), input);
  });
  assert.ok(accepted > 100, `${accepted} inputs were accepted: the samples prove little`);
});

test('answers to questions', () => {
  const instanceId = '0123456789ab';
  const result = { connections: 2, sent: 1, full: 1, list: [{ connection_id: connectionId, endpoint: '/ä' }] };
  let accepted = 0;
  fuzz(
    [encodeInstanceResult({ instanceId, result }), encodeInstanceResult({ instanceId, result: undefined })],
    (input) => {
      const answer = decodeInstanceResult(input);
      if (answer === undefined) return;
      accepted += 1;
      assert.match(answer.instanceId, /^[0-9a-f]{12}$/);
      for (const count of [answer.result?.connections, answer.result?.sent, answer.result?.full]) {
        assert.ok(count === undefined || (Number.isSafeInteger(count) && count >= 0));
      }
      for (const item of answer.result?.list ?? []) assert.ok(isConnectionId(item.connection_id));
    },
  );
  assert.ok(accepted > 100, `${accepted} inputs were accepted: the samples prove little`);
});

test('replies', () => {
  const one = encodeRequest({ kind: 'reply', connectionId, data, isBinary: false });
  const other = encodeRequest({ kind: 'reply', connectionId, data, isBinary: true });
  let accepted = 0;
  fuzz([encodeReplies([one]), encodeReplies([one, other, one])], (input) => {
    const replies = decodeReplies(input);
    if (replies === undefined) return;
    accepted += 1;
    assert.deepEqual(Buffer.from(encodeReplies(replies.map(encodeRequest))), input);
    assert.ok(decodeStatuses(encodeStatuses(replies.map(() => 'full'))).every((status) => status === 'full'));
  });
  assert.ok(accepted > 100, `${accepted} inputs were accepted: the samples prove little`);
});

test('broadcasts', () => {
  const samples = [
    encodeBroadcast({ endpoints: undefined, data, isBinary: false }),
    encodeBroadcast({ endpoints: ['/a', '/ä'], data, isBinary: true }),
  ];
  fuzz(samples, (input) => {
    const broadcast = decodeBroadcast(input);
    if (broadcast === undefined) return;
    assert.ok(broadcast.isBinary || isUtf8(broadcast.data));
    assert.ok(broadcast.endpoints?.every((path) => path.startsWith('/')) ?? true);
  });
});

test('answers of owners', () => {
  fuzz([encodeAnswer('done', '{"a":"ü"}'), encodeAnswer('gone')], (input) => {
    const { status, data: text } = decodeAnswer(input);
    assert.ok(status === 'invalid' || Buffer.from(encodeAnswer(status, text)).equals(input));
  });
});

test('announcements of processors', () => {
  const samples = ['{"processor":"chat","kept":["a","b"]}', '{"processor":"chat","kept":"all"}'];
  fuzz(
    samples.map((text) => Buffer.from(text)),
    (input) => {
      const announcement = parseAnnouncement(input);
      if (announcement === undefined) return;
      assert.equal(typeof announcement.processor, 'string');
    },
  );
});

test('headers, acknowledgements and reply subjects of NATS', () => {
  const samples = [
    headerBlock([
      ['Nats-Msg-Id', 'chat-1'],
      ['hydrogen-message-id', 'm-1'],
      ['hydrogen-attempts', '2'],
      ['hydrogen-due-at', '1700000000000'],
      ['hydrogen-stored-at', '1700000000000'],
      ['hydrogen-cause', '{"code":"HYD_EXPIRED","detail":""}'],
    ]),
    '{"stream":"HYDROGEN_a_b", "seq":12}',
    '{"error":{"err_code":10077,"description":"maximum bytes exceeded"}}',
    '$JS.ACK.S.C.1.2.3.1700000000000000000.4',
    'NATS/1.0 503 No Responders\r\n\r\n',
  ];
  fuzz(
    samples.map((text) => Buffer.from(text)),
    (input) => {
      const text = input.toString('latin1');
      headerValue(text, 'Nats-Msg-Id');
      statusCodeOf(text);
      parseAckSubject(text);
      judgeAck(input, Buffer.from('{"stream":"HYDROGEN_a_b", "seq":'));
      const facts = readParkedFacts(text);
      if (facts === undefined) return;
      assert.ok([facts.attempts, facts.dueAtMs, facts.storedAtMs].every(Number.isSafeInteger));
      assert.ok(facts.cause === undefined || typeof facts.cause.code + typeof facts.cause.detail === 'stringstring');
    },
  );
});

test('facts about dead letters', () => {
  const facts = {
    id: 'm-1',
    connectionId,
    endpoint: '/chat',
    callbackUrl: 'http://chat:8081',
    attempts: 2,
    diedAtMs: 1_700_000_000_000,
    code: 'HYD_EXPIRED',
    detail: 'ü',
    status: 503,
    rule: 'all',
  };
  let accepted = 0;
  fuzz([Buffer.from(letterJson(facts))], (input) => {
    const stored = { subject: 's', seq: 1, hdrs: '', data: '' };
    const block = `NATS/1.0\r\n${headerNames.deadLetter}: ${input.toString('latin1')}\r\n\r\n`;
    const letter = readLetter({ ...stored, hdrs: Buffer.from(block, 'latin1').toString('base64') });
    if (letter.isForeign) return;
    accepted += 1;
    new Date(letter.diedAtMs).toISOString();
    checkedValue(letter.id + letter.callbackUrl);
    assert.equal(typeof letter.detail + typeof letter.code + typeof letter.attempts, 'stringstringnumber');
  });
  assert.ok(accepted > 100, `${accepted} inputs were accepted: the samples prove little`);
});

test('payloads on the stream', () => {
  const samples = [
    '{"connection_id":"x","message":"hello","message_encoding":"text"}',
    '{"message":["a"]}',
    '[[[[]]]]',
  ];
  fuzz(
    samples.map((text) => Buffer.from(text)),
    (input) => assert.ok(['string', 'undefined'].includes(typeof readMessageText(input))),
  );
});

test('headers and URLs of services', () => {
  const samples = ['120', 'Wed, 21 Oct 2015 07:28:00 GMT', 'http://a.example.com:80/x?y', 'https://user@a.test/'];
  const admit = compileAllowedHosts(['*.example.com', 'a.test:443']);
  fuzz(
    samples.map((text) => Buffer.from(text)),
    (input) => {
      const text = input.toString('latin1');
      const delayMs = parseRetryAfter(text, 0);
      assert.ok(delayMs === undefined || (delayMs >= 0 && delayMs <= 3_600_000));
      const verdict = admit(text);
      if (verdict.isAllowed) assert.match(verdict.url.hostname, /\.example\.com\.?$|^a\.test\.?$/);
    },
  );
});

test('documents', () => {
  const samples = [yaml(groupDocument(), gatewayDocument(), processorDocument())];
  fuzz(
    samples.map((text) => Buffer.from(text)),
    (input) => {
      try {
        parseDocuments(input.toString(), 'fuzz.yaml');
      } catch (error) {
        assert.ok(error instanceof InvalidDocuments, String(error));
      }
    },
    0.1,
  );
});
