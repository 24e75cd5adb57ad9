/** What each system of the comparison does with a message, so that figures are read beside what they pay for. */

export interface FairnessNote {
  /** As in `System.product`. */
  readonly product: string;
  readonly what: string;
  readonly stores: string;
  readonly orders: string;
  readonly retries: string;
}

export const fairness: readonly FairnessNote[] = [
  {
    product: 'floor',
    what: 'the least that a gateway from WebSocket to HTTP can cost: ws and undici in one process, in the body that hydrogen sends',
    stores: 'nothing',
    orders: 'none, unless the scenario says otherwise',
    retries: 'none: a failed request ends the process',
  },
  {
    product: 'hydrogen',
    what: 'gateway, nats-server and processor as processes, with the default settings of their documents',
    stores: 'every message in JetStream on files, before the destination is called; synced every two minutes',
    orders: 'none with Unordered, the default; with PerConnection one message of a connection at a time',
    retries: 'until the destination answers 2xx, with back-off, then a dead letter',
  },
  {
    product: 'dev',
    what: 'hydrogen dev: gateway and processor in one process, with a bus in memory',
    stores: 'in memory: all is lost with the process',
    orders: 'as hydrogen',
    retries: 'as hydrogen',
  },
  {
    product: 'by hand',
    what: 'what people write themselves: ws, and fetch for each message',
    stores: 'nothing',
    orders: 'none',
    retries: 'none: the message is lost and the client is not informed',
  },
  {
    product: 'Centrifugo',
    what: 'one process in Go, which uses all cores; a message is an RPC, proxied as a POST; pushes are publications to channels',
    stores: 'nothing; publications only with history, which is off here as by default',
    orders: 'commands of one connection one after another',
    retries: 'none: the client gets an error',
  },
  {
    product: 'Pushpin',
    what: 'C++ and Rust processes; what has arrived of a connection is one POST of WebSocket events, several messages in one if they wait',
    stores: 'nothing',
    orders: 'one POST of a connection at a time',
    retries: 'only if the destination was provably not reached; any other failure closes the connection',
  },
  {
    product: 'raw',
    what: 'the least that a broadcast can cost: one write for each socket, in one process',
    stores: 'nothing',
    orders: 'of the socket',
    retries: 'none',
  },
];
