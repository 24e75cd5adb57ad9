/** The guarantees of every bus, run unchanged on each implementation: a file for each part of the port, and one for pressure. */

import { describe } from 'node:test';
import { busAddresses } from './addresses.ts';
import { busDeadLetters } from './dead-letters.ts';
import type { MakeBusEnvironment } from './kit.ts';
import { busLeases } from './leases.ts';
import { busMessages } from './messages.ts';
import { busOrder } from './order.ts';
import { busPeers } from './peers.ts';
import { busPressure } from './pressure.ts';
import { busWaiting } from './waiting.ts';

export type { BusEnvironment, MakeBusEnvironment } from './kit.ts';

/** Registers the suite. @param skip why it can't run here, or false */
export function busContract(name: string, makeEnvironment: MakeBusEnvironment, skip: string | false = false): void {
  describe(`${name} bus`, { skip }, () => {
    describe('messages', () => busMessages(makeEnvironment));
    describe('order', () => busOrder(makeEnvironment));
    describe('pressure', () => busPressure(makeEnvironment));
    describe('dead letters', () => busDeadLetters(makeEnvironment));
    describe('waiting rooms', () => busWaiting(makeEnvironment));
    describe('peers', () => busPeers(makeEnvironment));
    describe('addresses', () => busAddresses(makeEnvironment));
    describe('leases', () => busLeases(makeEnvironment));
  });
}
