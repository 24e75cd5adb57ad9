/** Preloaded into hydrogen, makes it one of an earlier release: it does not know the field `authorizer` of a gateway. */

import { registerHooks } from 'node:module';

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/crds/hooks.ts')) return loaded;
    const source = String(loaded.source).replace('  authorizer: Type.Optional(', '  aFieldOfNobody: Type.Optional(');
    return { ...loaded, source };
  },
});
