import assert from 'node:assert/strict';
import test from 'node:test';

import { type DocumentIssue, InvalidDocuments, parseDocuments } from '../../crds/index.ts';
import { validCases } from './cases.ts';

const group = `apiVersion: hydrogen.dev/v1alpha1
kind: HydrogenGroup
metadata: {name: chat}
spec: {nats: {servers: ["nats://nats:4222"]}}
`;

/** One example of each kind, with the fields that most users set. */
const example = `
apiVersion: hydrogen.dev/v1alpha1
kind: HydrogenGroup
metadata: {name: chat}
spec:
  nats:
    servers: [nats://nats.messaging:4222]
    credentialsSecretRef: {name: nats-creds, key: user.creds}
    tls: {caSecretRef: {name: nats-ca, key: ca.crt}}
  stream: {storage: File, replicas: 3, maxAgeSeconds: 86400, maxBytes: 1Gi}
---
apiVersion: hydrogen.dev/v1alpha1
kind: HydrogenGateway
metadata: {name: chat}
spec:
  groupRef: {name: chat}
  mode: Bidirectional
  endpoints: [{path: /chat}, {path: /feed}]
  authorizer: {http: {url: http://auth/authorize, headers: [{name: X-Tier, value: gold}], timeoutSeconds: 5}}
  hooks:
    connect: {url: http://presence/connected}
    disconnect: {url: http://presence/disconnected}
  heartbeat: {intervalSeconds: 30, timeoutSeconds: 75}
  limits: {maxMessageBytes: 262144, maxConnections: 50000, maxBufferedBytes: 1048576, messagesPerSecond: 0}
  allowedOrigins: ["https://app.example.com"]
  drain: {periodSeconds: 60}
  statsIntervalSeconds: 30
  autoscaling: {minReplicas: 2, maxReplicas: 10, targetCPUUtilizationPercentage: 60}
  service: {type: ClusterIP, annotations: {}}
  ingress: {className: nginx, hosts: [chat.example.com], tlsSecretName: chat-tls}
  template: {image: "hydrogen:1", imagePullPolicy: IfNotPresent, resources: {}, nodeSelector: {}, tolerations: [],
             affinity: {}, labels: {}, annotations: {}, env: []}
---
apiVersion: hydrogen.dev/v1alpha1
kind: HydrogenMessageProcessor
metadata: {name: chat}
spec:
  groupRef: {name: chat}
  endpoints: ["/chat"]
  routing:
    rules:
      - name: commands
        pattern: "^!"
        destination:
          url: http://commands:8080/
          headers:
            - {name: Authorization, valueFrom: {secretKeyRef: {name: commands, key: token}}}
            - {name: X-Tier, value: gold}
          timeoutSeconds: 10
          reply: true
      - {name: rest, pattern: ".*", destination: {url: "http://messages:8080/"}}
    unmatched: DeadLetter
  delivery: {maxAttempts: 8, ackTimeoutSeconds: 30, backoffSeconds: [1, 2, 5, 10, 30, 60], maxInFlight: 256,
             ordering: Unordered, partitions: 64}
  autoscaling: {maxReplicas: 4}
  template: {labels: {team: chat}}
`;

function issuesOf(text: string): readonly DocumentIssue[] {
  try {
    parseDocuments(text, 'app.yaml');
    return [];
  } catch (error) {
    assert.ok(error instanceof InvalidDocuments, String(error));
    return error.issues;
  }
}

function linesOf(text: string): string[] {
  return new InvalidDocuments(issuesOf(text)).message.split('\n');
}

test('reads every document of a text, in order', () => {
  const kinds = parseDocuments(example, 'app.yaml').map(({ kind }) => kind);
  assert.deepEqual(kinds, ['HydrogenGroup', 'HydrogenGateway', 'HydrogenMessageProcessor']);
});

test('reads every valid case', () => {
  for (const { yaml } of validCases) assert.equal(parseDocuments(yaml, 'case.yaml').length, 1);
});

test('skips empty documents', () => {
  assert.equal(parseDocuments(`---\n# nothing\n---\n${group}---\n`, 'app.yaml').length, 1);
});

test('refuses a text without documents', () => {
  for (const text of ['', '\n', '# comment', '---\n---\n']) {
    assert.deepEqual(linesOf(text), ['app.yaml: contains no documents']);
  }
});

test('names source, line, object and path of every problem, in the order of the text', () => {
  const text = `${group}---
apiVersion: hydrogen.dev/v1alpha1
kind: HydrogenGateway
metadata: {name: chat}
spec:
  heartbeat:
    intervalSeconds: 30
    timeoutSeconds: 10
  endpoints:
    - path: /chat
    - path: feed
  limit: {}
---
kind: Deployment
`;
  const words = 'must be a URL path that starts with /, has no empty segment and no query, and percent-encodes all';
  assert.deepEqual(linesOf(text), [
    'app.yaml:9 HydrogenGateway/chat: spec.groupRef: is required',
    'app.yaml:12 HydrogenGateway/chat: spec.heartbeat.timeoutSeconds: must exceed intervalSeconds (30), is 10',
    `app.yaml:15 HydrogenGateway/chat: spec.endpoints[1].path: ${words} other characters, is "feed"`,
    'app.yaml:16 HydrogenGateway/chat: spec.limit: unknown field; did you mean limits?',
    'app.yaml:18 Deployment: apiVersion: must be hydrogen.dev/v1alpha1, is absent',
    'app.yaml:18 Deployment: kind: must be one of HydrogenGroup, HydrogenGateway, HydrogenMessageProcessor, is "Deployment"',
  ]);
  assert.deepEqual(
    issuesOf(text).map(({ document }) => document),
    [2, 2, 2, 2, 3, 3],
  );
});

test('finds the line of a value that an alias refers to', () => {
  const text = group.replace('spec:', 'x: &nats {replicas: 2}\nspec:').replace('spec: {', 'spec: {stream: *nats, ');
  assert.deepEqual(linesOf(text), [
    'app.yaml:4 HydrogenGroup/chat: x: unknown field; known here: apiVersion, kind, metadata, spec, status',
    'app.yaml:4 HydrogenGroup/chat: spec.stream.replicas: must be 1, 3 or 5, is 2',
  ]);
});

test('refuses YAML that cannot be read, with its line, beside the problems of other documents', () => {
  const lines = linesOf(`kind: Deployment\n---\nkind: [\n---\n${group}`);
  assert.match(lines[0] ?? '', /^app\.yaml:1 Deployment: apiVersion/);
  assert.ok(lines.some((line) => /^app\.yaml:[34]: Flow sequence/.test(line)));
});

test('refuses a name that is set twice in one object', () => {
  assert.match(linesOf(`${group}kind: HydrogenGateway\n`).join(), /^app\.yaml:5: Map keys must be unique/);
});

test('refuses two documents of the same kind, namespace and name', () => {
  assert.deepEqual(linesOf(`${group}---\n${group}`), [
    'app.yaml:6 HydrogenGroup/chat: metadata.name: another document has the same kind and name in namespace default',
  ]);
  const elsewhere = group.replace('{name: chat}', '{name: chat, namespace: other}');
  assert.equal(parseDocuments(`${group}---\n${elsewhere}`, 'app.yaml').length, 2);
});

test('refuses aliases that expand endlessly', () => {
  const levels = 'abcdefghi'.split('');
  const bomb = levels.map((name, index) => {
    const inner = index === 0 ? '1' : Array.from({ length: 9 }, () => `*${levels[index - 1]}`).join(', ');
    return `${name}: &${name} [${inner}]`;
  });
  assert.match(linesOf(bomb.join('\n')).join(), /^app\.yaml:1: .*alias/i);
  assert.match(linesOf(group.replace('spec:', 'x: &x [*x]\nspec:')).join(), /x\[0\]: must not contain itself/);
  assert.match(linesOf('a: *nobody').join(), /^app\.yaml:1: .*nobody/);
});

test('refuses text that is nested endlessly', () => {
  assert.notDeepEqual(issuesOf('['.repeat(50_000)), []);
});

test('refuses YAML tags for anything other than plain data', () => {
  assert.notDeepEqual(issuesOf(group.replace('[', '!!binary "aGk=" #')), []);
});

for (const [title, text] of [
  ['lists', `a: ${'['.repeat(100_000)}`],
  ['objects', '{"a":'.repeat(100_000)],
  ['list items on one line', '- '.repeat(100_000)],
  ['keys on one line', '? '.repeat(100_000)],
] as const) {
  test(`refuses ${title} that are nested 100,000 deep with one line, before they are parsed`, () => {
    assert.throws(
      () => parseDocuments(`# a document\n${text}`, 'deep.yaml'),
      (error) =>
        error instanceof InvalidDocuments &&
        error.message === 'deep.yaml:2: must not be nested more than 64 levels deep',
    );
  });
}

test('takes many brackets in a text, and many lists that are not nested', () => {
  const pattern = '['.repeat(1_000);
  const text = `apiVersion: a\nkind: b\npattern: '${pattern}'\nlist: [${'[],'.repeat(1_000)}]\n${'# - - -\n'.repeat(500)}`;
  assert.throws(() => parseDocuments(text, 'flat.yaml'), /apiVersion: must be hydrogen.dev/);
});
