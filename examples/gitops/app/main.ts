/**
 * A shop with two gateways over one group: `chat` takes messages from customers, `ticker` only sends prices. Needs no
 * operator. Copy this folder; there, with Node 22.18 or newer:
 *
 *   npm install
 *   npm run synth        writes dist/shop.yaml
 */
import { App, Chart, YamlOutputType } from 'cdk8s';
import { HydrogenGateway, HydrogenGroup, HydrogenMessageProcessor } from 'hydrogen-gateway';

const outdir = process.argv[2] ?? `${import.meta.dirname}/dist`;
const app = new App({ outdir, outputFileExtension: '.yaml', yamlOutputType: YamlOutputType.FILE_PER_CHART });
const shop = new Chart(app, 'shop', { namespace: 'shop' });

// Three NATS servers with JetStream, and a copy of each message on all of them. They ask for the token in the secret
// `nats`, which you create: kubectl -n shop create secret generic nats --from-literal=token=$(openssl rand -hex 24)
const group = new HydrogenGroup(shop, 'Group', {
  name: 'shop',
  spec: {
    nats: {
      managed: { replicas: 3, storage: { size: '10Gi' } },
      tokenSecretRef: { name: 'nats', key: 'token' },
    },
    stream: { replicas: 3 },
  },
});

const chat = new HydrogenGateway(shop, 'Chat', {
  name: 'chat',
  group,
  spec: {
    endpoints: [{ path: '/chat' }],
    authorizer: { http: { url: 'http://accounts.shop.svc/authorize' } },
    autoscaling: { minReplicas: 2, maxReplicas: 10 },
    ingress: { className: 'nginx', hosts: ['chat.example.com'], tlsSecretName: 'chat-tls' },
  },
});

new HydrogenGateway(shop, 'Ticker', {
  name: 'ticker',
  group,
  spec: {
    mode: 'ServerToClient',
    endpoints: [{ path: '/prices' }],
    replicas: 2,
    httpRoute: { parentRefs: [{ name: 'public', namespace: 'ingress' }], hostnames: ['prices.example.com'] },
  },
});

new HydrogenMessageProcessor(shop, 'Support', {
  name: 'support',
  group,
  spec: {
    endpoints: chat.document.spec.endpoints.map(({ path }) => path),
    replicas: 2,
    routing: {
      rules: [
        { name: 'commands', pattern: '^/', destination: { url: 'http://commands.shop.svc/', reply: true } },
        { name: 'rest', pattern: '.*', destination: { url: 'http://messages.shop.svc/' } },
      ],
    },
    delivery: { ordering: 'PerConnection' },
  },
});

app.synth();
