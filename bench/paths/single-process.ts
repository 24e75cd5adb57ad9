/** Systems of the comparison that are one script of ours: the floor, a gateway written by hand, and raw writes. */

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { freePortBase } from '../../test/kit/ports.ts';
import { plain } from '../load/dialect.ts';
import { startBenchProcess } from '../processes.ts';
import { bundled } from '../shipped.ts';
import type { System } from './path.ts';

export interface FloorOptions {
  /** Added to the name. */
  readonly variant?: string;
  /** Posts the messages of a connection one after another. */
  readonly isOrdered?: boolean;
  readonly hasAuthorizer?: boolean;
}

const { version: wsVersion } = createRequire(import.meta.url)('ws/package.json') as { version: string };

/** See floor-process.ts. */
export function floor({ variant, isOrdered, hasAuthorizer }: FloorOptions = {}): System {
  return script({
    name: variant === undefined ? 'floor' : `floor, ${variant}`,
    product: 'floor',
    file: 'floor-process.ts',
    args: ({ destination }) => [
      `${destination}/hydrogen`,
      isOrdered ? 'ordered' : 'concurrent',
      ...(hasAuthorizer ? [`${destination}/authorize`] : []),
    ],
  });
}

/** See by-hand-process.ts. */
export function byHand({ hasAuthorizer }: { readonly hasAuthorizer?: boolean } = {}): System {
  return script({
    name: 'by hand',
    product: 'by hand',
    file: 'by-hand-process.ts',
    args: ({ destination, slow }) => [
      `${destination}/hydrogen`,
      `${slow}/hydrogen`,
      ...(hasAuthorizer ? [`${destination}/authorize`] : []),
    ],
  });
}

/** See raw-process.ts. It only broadcasts. */
export function raw(): System {
  return script({ name: 'raw', product: 'raw', file: 'raw-process.ts', args: () => [] });
}

interface Script {
  readonly name: string;
  readonly product: string;
  readonly file: string;
  args(urls: { readonly destination: string; readonly slow: string }): readonly string[];
}

function script({ name, product, file, args }: Script): System {
  return {
    name,
    product,
    version: async () => `Node ${process.versions.node}, ws ${wsVersion}`,
    start: async (urls) => {
      await using stack = new AsyncDisposableStack();
      const port = await freePortBase();
      const command = [await bundled(join(import.meta.dirname, file)), `${port}`, ...args(urls)];
      const started = stack.use(startBenchProcess(product, process.execPath, command));
      await started.answers(`http://127.0.0.1:${port}/`);
      const parts = stack.move();
      return {
        name,
        url: `ws://127.0.0.1:${port}/echo`,
        processes: [started],
        dialect: plain,
        broadcast: (text) => ({ target: { host: '127.0.0.1', port }, path: '/broadcast', headers: {}, body: text }),
        [Symbol.asyncDispose]: () => parts.disposeAsync(),
      };
    },
  };
}
