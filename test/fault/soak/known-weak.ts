/**
 * What breaks a promise today, with the reason. The short form in `npm test` leaves these out; the long form has them
 * all. Deleting a line switches one on.
 */

import type { Trouble } from './plan.ts';

export const knownWeak: readonly (readonly [trouble: Trouble, reason: string])[] = [
  ['clientsClose', 'a client that closes while the bus is down sees 1000, whether or not what it sent is stored'],
  [
    'servicesClose',
    'a service that closes a connection while the bus is down closes it before what was read is stored',
  ],
  ['stopGateway', 'a gateway that stops while the bus fails closes with 1001 although messages are not stored'],
  ['stopProcessor', 'messages that a stopping processor hands back count as attempts'],
  ['narrowEndpoints', 'gateways publish to an endpoint that no consumer covers any more, and NATS drops that'],
  ['changePartitions', 'a change of consumers begins behind a backlog that it did not see'],
  ['changeOrdering', 'a change of consumers begins behind a backlog that it did not see'],
  ['deleteConsumer', 'gateways publish for a moment what no consumer covers'],
  ['deleteStream', 'gateways publish for a moment what no consumer covers'],
];
