/** The destination of the comparison, as a process: `destination.ts PORT SLOW_PORT`. Both ports answer alike; see answers.ts. */

import { EchoDestination } from './answers.ts';
import { listenCheaply } from './http-server.ts';

const destination = new EchoDestination();
for (const port of process.argv.slice(2, 4)) listenCheaply(Number(port), (request) => destination.answer(request));
