/**
 * Entries that gateways had stored before their processor had lanes that cover none, because there are more than 16: replicas
 * read what is left of them, until the consumers of entries are found to be empty and are deleted.
 */

import type { ConsumerOptions } from '../port/messages.ts';
import { readConsumers } from './consumer-view.ts';
import type { NatsCore } from './core.ts';
import type { ConsumerSet } from './durables.ts';
import { seenEntries } from './entry-consumers.ts';
import { ProcessorSource } from './processor-source.ts';

export class EarlierEntries extends ProcessorSource {
  readonly #tools: NatsCore;
  readonly #processor: string;

  constructor(core: NatsCore, options: ConsumerOptions) {
    super(core, options);
    this.#tools = core;
    this.#processor = options.processor;
  }

  override async ensure(): Promise<ConsumerSet> {
    const { requests, subjects } = this.#tools;
    const entries = seenEntries(this.#processor, await readConsumers(requests, subjects.stream));
    return { names: [], tag: '', isOrdered: false, isWide: false, entries };
  }

  // Gateways need not know of this reader, since they write no more entries for this processor.
  override reading(): void {}
}
