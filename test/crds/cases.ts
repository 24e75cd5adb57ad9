/** Documents and their problems as data, so that `parse` and a cluster are tested with the same table. */

/** A document and its problems. */
export interface Case {
  /** Completes the sentence "accepts ..." or "refuses ...". */
  readonly title: string;
  /** The document, in YAML. */
  readonly yaml: string;
  /** Every problem as `path: message`, in any order; none: the document is valid. */
  readonly issues: readonly string[];
  /** Whether an API server drops invalid fields, unless it is asked to be strict. Default: it refuses the document. */
  readonly isServerLenient?: boolean;
}

const object = (kind: string, name: string, spec: string): string => `
apiVersion: hydrogen.dev/v1alpha1
kind: ${kind}
metadata: {name: ${name}}
spec:
${spec
  .trim()
  .split('\n')
  .map((line) => `  ${line}`)
  .join('\n')}
`;

const group = (spec: string, name = 'chat'): string => object('HydrogenGroup', name, spec);
const servers = 'nats: {servers: ["nats://nats:4222"]}';
const gateway = (spec: string): string =>
  object('HydrogenGateway', 'chat', `groupRef: {name: chat}\nendpoints: [{path: /chat}]\n${spec}`);
const endpoints = (list: string): string =>
  object('HydrogenGateway', 'chat', `groupRef: {name: chat}\nendpoints: ${list}`);
const processor = (spec: string): string =>
  object('HydrogenMessageProcessor', 'chat', `groupRef: {name: chat}\n${spec}`);
const rules = 'routing: {rules: [{name: all, pattern: ".*", destination: {url: "http://messages:8080/"}}]}';
const header = (fields: string): string => gateway(`authorizer: {http: {url: "http://auth", headers: [{${fields}}]}}`);

const jwt = (fields: string, spec = ''): string =>
  gateway(`authorizer: {jwt: {providers: [{name: main, issuer: "https://a/", audiences: [b], ${fields}}]}}\n${spec}`);
const remote = 'remoteJWKS: {uri: "https://a/jwks"}';
const provider = 'spec.authorizer.jwt.providers[0]';

const headerPath = 'spec.authorizer.http.headers[0]';
const urlWords = 'must be a valid http:// or https:// URL, without user name, password, fragment or spaces';
const pathWords =
  'must be a URL path that starts with /, has no empty segment and no query, and percent-encodes all other characters';
const quantityWords = 'must be a quantity such as 500m, 512Mi or 4Gi (in quotes if it has a decimal point)';
const nameWords =
  "must be at most 52 lower-case letters, digits and '-', beginning with a letter and not ending with '-'";

/** Valid documents. */
export const validCases: readonly Case[] = [
  { title: 'a group with nothing but servers', yaml: group(servers), issues: [] },
  {
    title: 'a group that sets everything',
    yaml: group(`
paused: true
nats:
  servers: [tls://a.nats:4222, "ws://[::1]:8080", nats://b]
  credentialsSecretRef: {name: nats-creds, key: user.creds}
  tls:
    caSecretRef: {name: nats-ca, key: ca.crt}
    certSecretRef: {name: nats, key: tls.crt}
    keySecretRef: {name: nats, key: tls.key}
stream: {storage: Memory, replicas: 5, maxAgeSeconds: 60, maxBytes: 1048576, deletionPolicy: Delete}
deadLetter: {maxAgeSeconds: 60, maxBytes: 1.5Gi}
instanceLeaseSeconds: 300`),
    issues: [],
  },
  {
    title: 'a group with a NATS of its own',
    yaml: group(`
nats:
  managed: {replicas: 3, storage: {size: 2560Mi, className: fast}, sync: Always}
  tokenSecretRef: {name: nats, key: token}
stream: {replicas: 3}`),
    issues: [],
  },
  { title: 'a name of 52 characters', yaml: group(servers, 'a'.repeat(52)), issues: [] },
  { title: 'a gateway with nothing but endpoints', yaml: gateway(''), issues: [] },
  {
    title: 'a gateway that sets everything',
    yaml: gateway(`
mode: ServerToClient
subprotocols: [graphql-transport-ws, mqtt]
authorizer: {http: {url: "https://auth.example.com:8443/a?b=c", headers: [{name: X-Tier, value: gold}], timeoutSeconds: 60}}
hooks:
  connect: {url: http://presence/connected}
  disconnect: {url: "http://presence/disconnected", maxAttempts: 1}
heartbeat: {intervalSeconds: 1, timeoutSeconds: 2}
limits: {maxMessageBytes: 67108864, maxConnections: 1, maxBufferedBytes: 1024, messagesPerSecond: 10, maxContextBytes: 0}
trustedProxies: [10.0.0.0/8, 192.0.2.1/32, "2001:db8::/32", "::/0"]
allowedOrigins: ["https://app.example.com", "http://localhost:3000"]
management: {tokenSecretRef: {name: push, key: token}, maxBodyBytes: 1024, callbackUrl: "http://push.example.com"}
drain: {periodSeconds: 0}
statsIntervalSeconds: 0
autoscaling: {minReplicas: 2, maxReplicas: 2, targetCPUUtilizationPercentage: 100}
service: {type: LoadBalancer, annotations: {"cloud.example.com/class": internal}}
ingress: {className: nginx, hosts: [chat.example.com, "*.example.org"], tlsSecretName: chat-tls}
template:
  image: registry.example.com/hydrogen:1
  imagePullPolicy: Always
  resources: {requests: {cpu: 500m, memory: 128Mi}, limits: {cpu: 2}}
  nodeSelector: {disk: ssd}
  tolerations: [{key: dedicated, operator: Equal, value: chat, effect: NoSchedule}]
  affinity: {nodeAffinity: {anything: [1, {goes: here}]}}
  labels: {team: chat}
  annotations: {note: "any text at all: ✓"}
  env: [{name: A, value: ""}, {name: B, valueFrom: {secretKeyRef: {name: b, key: b}}}]`),
    issues: [],
  },
  { title: 'a gateway whose pods reach DNS alone', yaml: gateway('egress: {}'), issues: [] },
  {
    title: 'a gateway whose pods reach what it names',
    yaml: gateway(`
egress:
  allow:
  - to:
    - {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: messaging}}, podSelector: {matchLabels: {app: nats}}}
    ports: [{port: 4222}, {port: 53, protocol: UDP}]
  - {to: [{podSelector: {}}, {namespaceSelector: {}}]}
  - {to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}`),
    issues: [],
  },
  {
    title: 'a provider of tokens with nothing but what it needs',
    yaml: jwt(remote),
    issues: [],
  },
  {
    title: 'providers of tokens that set everything',
    yaml: gateway(`
expiry: {graceSeconds: 10}
limits: {maxConnectionAgeSeconds: 3600}
allowedOrigins: ["https://app.example.com"]
authorizer:
  http: {url: http://auth}
  jwt:
    providers:
    - name: main
      issuer: https://issuer.example.com/realms/a
      audiences: [chat, "api://chat"]
      algorithms: [RS256, EdDSA]
      clockSkewSeconds: 0
      remoteJWKS: {uri: "https://issuer.example.com/certs?a=b", cacheSeconds: 1}
      extractFrom:
        headers: [{name: Authorization, valuePrefix: "Bearer "}, {name: X-Token}]
        params: [access_token]
        cookies: [__Host-id]
        subprotocols: [{prefix: token.}]
      claims: {user: /identity/na~1me, context: ["https://a/roles", "cognito:groups", /realm_access/roles, "~"]}
    - name: local
      issuer: local
      audiences: [chat]
      localJWKS: {type: Inline, inline: '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}'}
    - name: secret
      issuer: secret
      audiences: [chat]
      localJWKS: {type: ValueRef, valueRef: {secretKeyRef: {name: keys, key: jwks.json}}}`),
    issues: [],
  },
  {
    title: 'a gateway behind the Gateway API',
    yaml: gateway(
      'httpRoute: {parentRefs: [{name: edge, namespace: infra, port: 443}], hostnames: [chat.example.com]}',
    ),
    issues: [],
  },
  {
    title: 'endpoints with every character that a path may have',
    yaml: endpoints(`[{path: /}, {path: /a/}, {path: /a}, {path: "/-._~!$&'()*+,;=:@/%2F%c3%A9"}, {path: /.../..a}]`),
    issues: [],
  },
  {
    title: 'null as if the field were absent',
    yaml: gateway(
      'limits:\ndrain: {periodSeconds: null}\ntemplate: {labels: {team: null}, affinity: {a: null, b: {c: null}}}',
    ),
    issues: [],
  },
  ...[
    'http://10.0.0.1',
    'https://[2001:db8::1]:65535/a',
    'http://a_b/',
    'http://3proxy:80?x=/:99999',
    'http://a./%41',
    'http://[::ffff:102:304]',
  ].map((url) => ({ title: `the URL ${url}`, yaml: gateway(`hooks: {connect: {url: "${url}"}}`), issues: [] })),
  { title: 'a processor with rules', yaml: processor(rules), issues: [] },
  {
    title: 'a processor with a rules engine',
    yaml: processor(`
endpoints: [/chat]
routing:
  rulesEngine:
    url: http://rules/route
    allowedHosts: ["*.svc.cluster.local", "api.example.com:8443", localhost, "[::1]:80"]
    reply: true
  unmatched: Drop
delivery: {maxAttempts: 100, ackTimeoutSeconds: 2, backoffSeconds: [0, 3600], maxInFlight: 1, ordering: PerConnection, partitions: 256}`),
    issues: [],
  },
];

/** Invalid documents. */
export const invalidCases: readonly Case[] = [
  {
    title: 'another apiVersion',
    yaml: 'apiVersion: hydrogen.dev/v1\nkind: HydrogenGroup\nmetadata: {name: a}\nspec: {}',
    issues: ['apiVersion: must be hydrogen.dev/v1alpha1, is "hydrogen.dev/v1"'],
  },
  {
    title: 'another kind',
    yaml: 'apiVersion: hydrogen.dev/v1alpha1\nkind: Gateway\nmetadata: {name: a}\nspec: {}',
    issues: ['kind: must be one of HydrogenGroup, HydrogenGateway, HydrogenMessageProcessor, is "Gateway"'],
  },
  {
    title: 'a document that is no object',
    yaml: '- 1',
    issues: [': must be an object with apiVersion, kind, metadata and spec, is a list'],
  },
  {
    title: 'a gateway without metadata and spec, naming each field',
    yaml: 'apiVersion: hydrogen.dev/v1alpha1\nkind: HydrogenGateway',
    issues: ['metadata.name: is required', 'spec.groupRef: is required', 'spec.endpoints: is required'],
  },
  {
    title: 'a gateway without spec',
    yaml: 'apiVersion: hydrogen.dev/v1alpha1\nkind: HydrogenGateway\nmetadata: {name: a}',
    issues: ['spec.groupRef: is required', 'spec.endpoints: is required'],
  },
  {
    title: 'a name of 53 characters',
    yaml: group(servers, 'a'.repeat(53)),
    issues: [`metadata.name: ${nameWords}, is "${'a'.repeat(53)}"`],
  },
  {
    title: 'a name that begins with a digit',
    yaml: group(servers, '1a'),
    issues: [`metadata.name: ${nameWords}, is "1a"`],
  },
  { title: 'a name with a dot', yaml: group(servers, 'a.b'), issues: [`metadata.name: ${nameWords}, is "a.b"`] },
  {
    title: 'a misspelt field, with a suggestion',
    yaml: gateway('limits: {maxMessagebytes: 1, maxConections: 2}\ndrains: {}'),
    issues: [
      'spec.limits.maxMessagebytes: unknown field; did you mean maxMessageBytes?',
      'spec.limits.maxConections: unknown field; did you mean maxConnections?',
      'spec.drains: unknown field; did you mean drain?',
    ],
    isServerLenient: true,
  },
  {
    title: 'an unknown field, with those that are known',
    yaml: gateway('heartbeat: {every: 5}'),
    issues: ['spec.heartbeat.every: unknown field; known here: intervalSeconds, timeoutSeconds'],
    isServerLenient: true,
  },
  {
    title: 'an unknown field beside spec',
    yaml: `${group(servers)}\nspecs: {}`,
    issues: ['specs: unknown field; did you mean spec?'],
    isServerLenient: true,
  },
  {
    title: 'every problem of a document at once',
    yaml: gateway(
      'limits: {maxConnections: many}\nreplicas: 1.5\nmode: Both\npaused: "yes"\nheartbeat: {timeoutSeconds: 30}',
    ),
    issues: [
      'spec.limits.maxConnections: must be an integer from 1 to 1000000, is "many"',
      'spec.replicas: must be an integer from 0 to 1000, is 1.5',
      'spec.mode: must be one of Bidirectional, ServerToClient, is "Both"',
      'spec.paused: must be true or false, is "yes"',
      'spec.heartbeat.timeoutSeconds: must exceed intervalSeconds (30), is 30',
    ],
  },
  {
    title: 'an authorizer that is none',
    yaml: gateway('authorizer: {}'),
    issues: ['spec.authorizer: must have at least one of jwt, http'],
  },
  {
    title: 'a provider of tokens without keys',
    yaml: jwt(''),
    issues: [`${provider}: must have exactly one of remoteJWKS, localJWKS`],
  },
  {
    title: 'algorithms without a public key',
    yaml: jwt(`${remote}, algorithms: [HS256, none]`),
    issues: ['HS256', 'none'].map(
      (name, index) =>
        `${provider}.algorithms[${index}]: must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, is "${name}"`,
    ),
  },
  {
    title: 'local keys of another type than they say',
    yaml: jwt('localJWKS: {type: ValueRef, inline: "{\\"keys\\": []}"}'),
    issues: [
      `${provider}.localJWKS: must have inline with type Inline, or valueRef with type ValueRef, and not the other`,
    ],
  },
  {
    title: 'tokens that are looked for nowhere',
    yaml: jwt(`${remote}, extractFrom: {}`),
    issues: [`${provider}.extractFrom: must have at least one of headers, params, cookies, subprotocols`],
  },
  {
    title: 'claims that are no JSON Pointers',
    yaml: jwt(`${remote}, claims: {user: /a~2b, context: [a~2b, /a~]}`),
    issues: [`${provider}.claims: has a name that begins with / and is no JSON Pointer: write ~ as ~0`],
  },
  {
    title: 'tokens in cookies for the pages of any origin',
    yaml: jwt(`${remote}, extractFrom: {cookies: [id]}`),
    issues: ['spec.allowedOrigins: is required with tokens in cookies, which browsers send for any page'],
  },
  {
    title: 'a time-out as short as the interval',
    yaml: gateway('heartbeat: {timeoutSeconds: 30}'),
    issues: ['spec.heartbeat.timeoutSeconds: must exceed intervalSeconds (30), is 30'],
  },
  {
    title: 'numbers outside of their bounds',
    yaml: processor(
      `${rules}\ndelivery: {maxAttempts: 0, ackTimeoutSeconds: 1, maxInFlight: 4097, backoffSeconds: [-1]}`,
    ),
    issues: [
      'spec.delivery.maxAttempts: must be an integer from 1 to 100, is 0',
      'spec.delivery.ackTimeoutSeconds: must be an integer from 2 to 3600, is 1',
      'spec.delivery.maxInFlight: must be an integer from 1 to 4096, is 4097',
      'spec.delivery.backoffSeconds[0]: must be an integer from 0 to 3600, is -1',
    ],
  },
  {
    title: 'objects and lists of the wrong shape',
    yaml: gateway('limits: 5\nallowedOrigins: https://a\nservice: []\ntemplate: {labels: x}'),
    issues: [
      'spec.limits: must be an object, is 5',
      'spec.allowedOrigins: must be a list, is "https://a"',
      'spec.service: must be an object, is a list',
      'spec.template.labels: must be a map, is "x"',
    ],
  },
  {
    title: 'a map entry, naming its key',
    yaml: gateway('template: {labels: {app.example.com/tier: 1, team: "a b"}}'),
    issues: [
      `spec.template.labels["app.example.com/tier"]: must be a label value: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, is 1 (put it in quotes)`,
      `spec.template.labels.team: must be a label value: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, is "a b"`,
    ],
  },
  { title: 'no endpoints', yaml: endpoints('[]'), issues: ['spec.endpoints: must have 1 to 64 entries, has 0'] },
  {
    title: 'more than 64 endpoints',
    yaml: endpoints(`[${Array.from({ length: 65 }, (_, index) => `{path: /${index}}`).join(', ')}]`),
    issues: ['spec.endpoints: must have 1 to 64 entries, has 65'],
  },
  {
    title: 'the same endpoint twice',
    yaml: endpoints('[{path: /a}, {path: /b}, {path: /a}]'),
    issues: ['spec.endpoints[2].path: "/a" is already in spec.endpoints[0]'],
  },
  {
    title: 'endpoints that are no path',
    yaml: endpoints('[{path: chat}, {path: /a?b}, {path: //a}, {path: /a b}, {path: /%zz}, {path: "/é"}, {path: ""}]'),
    issues: ['chat', '/a?b', '//a', '/a b', '/%zz', '/é', ''].map(
      (path, index) => `spec.endpoints[${index}].path: ${pathWords}, is ${JSON.stringify(path)}`,
    ),
  },
  {
    title: 'endpoints that no client can ask for',
    yaml: endpoints('[{path: /a/../b}, {path: /.}, {path: /%2E%2e/a}]'),
    issues: [0, 1, 2].map(
      (index) =>
        `spec.endpoints[${index}].path: must not have a segment "." or "..", which clients resolve before they connect`,
    ),
  },
  {
    title: 'a path of more than 256 characters',
    yaml: endpoints(`[{path: /${'a'.repeat(256)}}]`),
    issues: ['spec.endpoints[0].path: must have at most 256 characters, has 257'],
  },
  {
    title: 'a list entry that is null',
    yaml: endpoints('[null]'),
    issues: ['spec.endpoints[0]: must be an object, is null'],
  },
  ...['ftp://x', '/relative', 'http://', 'http://a b', 'http://a/#b'].map((url) => ({
    title: `the URL ${url}`,
    yaml: gateway(`hooks: {connect: {url: "${url}"}}`),
    issues: [`spec.hooks.connect.url: ${urlWords}, is "${url}"`],
  })),
  {
    title: 'a URL with a password, without repeating it',
    yaml: gateway('hooks: {connect: {url: "http://me:hunter2@host/"}}'),
    issues: [`spec.hooks.connect.url: ${urlWords}, is "http://***@host/"`],
  },
  ...[
    'http://host:99999/',
    'http://999.1.1.1',
    'http://10.1',
    'http://a.0x7f/',
    'http://[::ffff:1.2.3.4]',
    'http://a..b',
  ]
    .concat('http://[1::2::3]', 'http://a/%zz', 'http://a/?b=5%')
    .map((url) => ({
      title: `the URL ${url}`,
      yaml: gateway(`hooks: {connect: {url: "${url}"}}`),
      issues: [`spec.hooks.connect.url: ${urlWords}, is "${url}"`],
    })),
  {
    title: 'a URL with an address that is none',
    yaml: gateway('hooks: {connect: {url: "http://[1:2:3:4:5::6:7:8:9]"}}'),
    issues: ['spec.hooks.connect.url: must be a valid URL: check the address in brackets'],
  },
  ...[
    ...[
      'Host',
      'content-length',
      'Content-Type',
      'connection',
      'transfer-encoding',
      'upgrade',
      'traceparent',
      'expect',
    ],
    ...['keep-alive', 'TE', 'trailer', 'Hydrogen-Attempt', 'hydrogen-'],
  ].map((name) => ({
    title: `the reserved header ${name}`,
    yaml: header(`name: ${name}, value: x`),
    issues: [`${headerPath}.name: "${name}" is set by hydrogen or by HTTP itself; choose another name`],
  })),
  ...['X Tier', 'X:Tier', 'é', ''].map((name) => ({
    title: `the header name ${JSON.stringify(name)}`,
    yaml: header(`name: "${name}", value: x`),
    issues: [`${headerPath}.name: must be the name of an HTTP header, is "${name}"`],
  })),
  ...['a\\nb', 'a\\0', 'a\\x7f', '5 €', 'caf\\u00e9'].map((value) => ({
    title: `the header value "${value}", without repeating it`,
    yaml: header(`name: X-Tier, value: "${value}"`),
    issues: [`${headerPath}.value: must be a header value of printable ASCII characters, without line breaks`],
  })),
  ...['10.0.0.0', 'proxy/8', '10.0.0/8', 'fe80::1%eth0/64', '::ffff:192.0.2.1/128'].map((cidr) => ({
    title: `the range of addresses ${cidr}`,
    yaml: gateway(`trustedProxies: ["${cidr}"]`),
    issues: [
      `spec.trustedProxies[0]: must be a range of IP addresses such as 10.0.0.0/8 or 2001:db8::/32, is "${cidr}"`,
    ],
  })),
  ...['10.0.0.256/8', '10.0.0.0/33', '10.0.0.0/08', '2001:db8::/129', '1::2::3/64', ':::/8'].map((cidr) => ({
    title: `the range of addresses ${cidr}`,
    yaml: gateway(`trustedProxies: ["${cidr}"]`),
    issues: ['spec.trustedProxies[0]: must be a valid range: check the address and the number of bits'],
  })),
  ...['{}', '{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}'].map((peer) => ({
    title: `the peer ${peer}`,
    yaml: gateway(`egress: {allow: [{to: [${peer}]}]}`),
    issues: ['spec.egress.allow[0].to[0]: must have either ipBlock, or namespaceSelector, podSelector or both'],
  })),
  {
    title: 'ranges of addresses for egress that are none',
    yaml: processor(`${rules}\negress: {allow: [{to: [{ipBlock: {cidr: 10.0.0.0/33, except: [10.0.0.256/32]}}]}]}`),
    issues: ['cidr', 'except[0]'].map(
      (field) =>
        `spec.egress.allow[0].to[0].ipBlock.${field}: must be a valid range: check the address and the number of bits`,
    ),
  },
  ...['.', '..', '..a', 'a/b', ''].map((key) => ({
    title: `the secret key ${JSON.stringify(key)}`,
    yaml: header(`name: X-Tier, valueFrom: {secretKeyRef: {name: a, key: "${key}"}}`),
    issues: [
      `${headerPath}.valueFrom.secretKeyRef.key: must be the name of a key in a secret: letters, digits, '-', '_' and '.', not beginning with '..', is "${key}"`,
    ],
  })),
  {
    title: 'a header with both value and valueFrom',
    yaml: header('name: X-Tier, value: a, valueFrom: {secretKeyRef: {name: a, key: b}}'),
    issues: [`${headerPath}: must have exactly one of value, valueFrom`],
  },
  {
    title: 'a header with neither value nor valueFrom',
    yaml: header('name: X-Tier'),
    issues: [`${headerPath}: must have exactly one of value, valueFrom`],
  },
  {
    title: 'a header that is named twice in different case',
    yaml: header('name: X-Tier, value: a}, {name: x-tier, value: b'),
    issues: ['spec.authorizer.http.headers: must not contain a header twice; names are case-insensitive'],
  },
  {
    title: 'a header whose name is no string, without judging the list of names',
    yaml: header('name: 5, value: a}, {name: X-Tier, value: b'),
    issues: [`${headerPath}.name: must be the name of an HTTP header, is 5 (put it in quotes)`],
  },
  {
    title: 'headers of rules as well',
    yaml: processor(
      'routing: {rules: [{name: a, pattern: a, destination: {url: "http://a", headers: [{name: Host, value: b}]}}]}',
    ),
    issues: [
      'spec.routing.rules[0].destination.headers[0].name: "Host" is set by hydrogen or by HTTP itself; choose another name',
    ],
  },
  {
    title: 'an environment variable without a value',
    yaml: gateway('template: {env: [{name: A}]}'),
    issues: ['spec.template.env[0]: must have exactly one of value, valueFrom'],
  },
  {
    title: 'both ingress and httpRoute, besides a problem in one of them',
    yaml: gateway('ingress: {hosts: []}\nhttpRoute: {parentRefs: [{name: edge}]}'),
    issues: [
      'spec: must have at most one of ingress, httpRoute',
      'spec.ingress.hosts: must have 1 to 32 entries, has 0',
    ],
  },
  {
    title: 'both ingress and httpRoute',
    yaml: gateway('ingress: {hosts: [a.example.com]}\nhttpRoute: {parentRefs: [{name: edge}]}'),
    issues: ['spec: must have at most one of ingress, httpRoute'],
  },
  {
    title: 'minReplicas above maxReplicas',
    yaml: gateway('autoscaling: {minReplicas: 3, maxReplicas: 2}'),
    issues: ['spec.autoscaling.minReplicas: must not exceed maxReplicas (2), is 3'],
  },
  {
    title: 'a push that no buffer holds',
    yaml: gateway('limits: {maxBufferedBytes: 1024}'),
    issues: ['spec.management.maxBodyBytes: must not exceed limits.maxBufferedBytes (1024), is 524288'],
  },
  {
    title: 'an origin with a path',
    yaml: gateway('allowedOrigins: ["https://a.example.com/"]'),
    issues: [
      'spec.allowedOrigins[0]: must be an origin such as https://app.example.com or https://*.example.com, without a path, is "https://a.example.com/"',
    ],
  },
  {
    title: 'a subprotocol twice',
    yaml: gateway('subprotocols: [mqtt, mqtt]'),
    issues: ['spec.subprotocols[1]: "mqtt" is already in spec.subprotocols[0]'],
  },
  {
    title: 'a group with neither servers nor managed',
    yaml: group('nats: {}'),
    issues: ['spec.nats: must have exactly one of servers, managed'],
  },
  {
    title: 'a group with both servers and managed',
    yaml: group('nats: {servers: ["nats://a"], managed: {replicas: 2}}'),
    issues: [
      'spec.nats: must have exactly one of servers, managed',
      'spec.nats.managed.replicas: must be 1, 3 or 5, is 2',
    ],
  },
  {
    title: 'a managed NATS with a log-in that it does not support',
    yaml: group('nats: {managed: {}, tls: {}}'),
    issues: ['spec.nats.managed: cannot be combined with credentialsSecretRef or tls; use tokenSecretRef'],
  },
  {
    title: 'a managed NATS with fewer servers than copies, and a volume that is too small for them',
    yaml: group('nats: {managed: {replicas: 1, storage: {size: 1Gi}}}\nstream: {replicas: 3}'),
    issues: [
      'spec.stream.replicas: must not exceed nats.managed.replicas (1), is 3',
      'spec.nats.managed.storage.size: must hold one and a half times stream.maxBytes ("1Gi") and deadLetter.maxBytes ' +
        '("1Gi"), is "1Gi"',
    ],
  },
  {
    title: 'a managed NATS with a volume that has no room for waiting rooms',
    yaml: group('nats: {managed: {storage: {size: 2559Mi}}}'),
    issues: [
      'spec.nats.managed.storage.size: must hold one and a half times stream.maxBytes ("1Gi") and deadLetter.maxBytes ' +
        '("1Gi"), is "2559Mi"',
    ],
  },
  {
    title: 'credentials beside a token, and a certificate without its key',
    yaml: group(`
nats:
  servers: ["nats://a"]
  credentialsSecretRef: {name: a, key: b}
  tokenSecretRef: {name: a, key: b}
  tls: {certSecretRef: {name: a, key: b}}`),
    issues: [
      'spec.nats: must have at most one of credentialsSecretRef, tokenSecretRef',
      'spec.nats.tls: must have both of certSecretRef, keySecretRef or neither',
    ],
  },
  {
    title: 'a login of gateways and processors, and none for the operator',
    yaml: group(`
nats:
  servers: ["nats://a"]
  gatewayCredentialsSecretRef: {name: a, key: b}
  processorCredentialsSecretRef: {name: a, key: b}`),
    issues: [
      'spec.nats.gatewayCredentialsSecretRef: requires credentialsSecretRef, with which the operator logs in',
      'spec.nats.processorCredentialsSecretRef: requires credentialsSecretRef, with which the operator logs in',
    ],
  },
  {
    title: 'a NATS URL of another scheme',
    yaml: group('nats: {servers: ["http://a"]}'),
    issues: [
      'spec.nats.servers[0]: must be a nats://, tls:// or ws:// URL with a valid host and port, without user name or password, is "http://a"',
    ],
  },
  {
    title: 'an even number of stream replicas',
    yaml: group(`${servers}\nstream: {replicas: 2}`),
    issues: ['spec.stream.replicas: must be 1, 3 or 5, is 2'],
  },
  {
    title: 'a stream of less than 1Ki',
    yaml: group(`${servers}\nstream: {maxBytes: "1022.5"}`),
    issues: ['spec.stream.maxBytes: must be at least 1Ki, is "1022.5"'],
  },
  {
    title: 'quantities that are none or too small',
    yaml: group(`${servers}\nstream: {maxBytes: 1GB}\ndeadLetter: {maxBytes: 500}`),
    issues: [
      'spec.stream.maxBytes: must be a quantity such as 500m, 512Mi or 4Gi (in quotes if it has a decimal point), is "1GB"',
      'spec.deadLetter.maxBytes: must be at least 1Ki, is 500',
    ],
  },
  ...['-1', '1.5', '9007199254740993'].map((number) => ({
    title: `the quantity ${number}`,
    yaml: gateway(`template: {resources: {requests: {cpu: ${number}}}}`),
    issues: [`spec.template.resources.requests.cpu: ${quantityWords}, is ${Number(number)}`],
  })),
  {
    title: 'routing with neither rules nor rulesEngine',
    yaml: processor('routing: {}'),
    issues: ['spec.routing: must have exactly one of rules, rulesEngine'],
  },
  {
    title: 'routing with both rules and rulesEngine',
    yaml: processor(`
routing:
  rules: [{name: all, pattern: "", destination: {}}]
  rulesEngine: {url: "http://rules"}`),
    issues: [
      'spec.routing: must have exactly one of rules, rulesEngine',
      'spec.routing.rules[0].pattern: must not be empty',
      'spec.routing.rules[0].destination.url: is required',
      'spec.routing.rulesEngine.allowedHosts: is required',
    ],
  },
  {
    title: 'allowed hosts that would allow everything',
    yaml: processor('routing: {rulesEngine: {url: "http://rules", allowedHosts: ["*", "*.", "http://a"]}}'),
    issues: ['*', '*.', 'http://a'].map(
      (host, index) =>
        `spec.routing.rulesEngine.allowedHosts[${index}]: must be a host name, or *. and a domain, with an optional :port, is "${host}"`,
    ),
  },
  ...Object.entries({
    '(': 'missing closing ): `(`',
    'a(?=b)': 'invalid or unsupported Perl syntax: `(?=`',
    'a**': 'invalid nested repetition operator: `**`',
    '[z-a]': 'invalid character class range: `z-a`',
    'a{1001}': 'invalid repeat count: `{1001}`',
    '\\\\1': 'invalid escape sequence: `\\1`',
  }).map(([pattern, reason]) => ({
    title: `the pattern ${pattern}`,
    yaml: processor(`routing: {rules: [{name: a, pattern: "${pattern}", destination: {url: "http://a"}}]}`),
    issues: [`spec.routing.rules[0].pattern: must be a regular expression in RE2 syntax: ${reason}`],
  })),
  {
    title: 'allowed hosts that no URL can have',
    yaml: processor('routing: {rulesEngine: {url: "http://rules", allowedHosts: ["[1:2:3:4:5::6:7:8:9]"]}}'),
    issues: [
      'spec.routing.rulesEngine.allowedHosts[0]: must be a host that exists in URLs: check the address in brackets, and ' +
        'labels that begin with xn--',
    ],
  },
  ...['*.1.2.3.4', '*.a..b'].map((host) => ({
    title: `the allowed host ${host}`,
    yaml: processor(`routing: {rulesEngine: {url: "http://rules", allowedHosts: ["${host}"]}}`),
    issues: [
      `spec.routing.rulesEngine.allowedHosts[0]: must be a host name, or *. and a domain, with an optional :port, is "${host}"`,
    ],
  })),
  {
    title: 'two rules of one name',
    yaml: processor(`
routing:
  rules:
    - {name: a, pattern: a, destination: {url: "http://a"}}
    - {name: a, pattern: b, destination: {url: "http://b"}}`),
    issues: ['spec.routing.rules[1].name: "a" is already in spec.routing.rules[0]'],
  },
  {
    title: 'partitions that do not divide 256',
    yaml: processor(`${rules}\ndelivery: {partitions: 48}`),
    issues: ['spec.delivery.partitions: must be a divisor of 256 (1, 2, 4, ... 256), is 48'],
  },
];
