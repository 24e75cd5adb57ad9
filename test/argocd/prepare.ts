/** Gets Argo CD and redis for `npm run test:argocd`, and says what it is waiting for. */

import { obtainArgoCd } from '../kit/argocd-binaries.ts';
import { say } from '../kit/program.ts';

const { folder, redis } = await obtainArgoCd();
say(`Argo CD: ${folder}; redis: ${redis.path}`);
