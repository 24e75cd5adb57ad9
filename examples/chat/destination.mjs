// The chat's service. It speaks HTTP only: hydrogen calls it when a client connects, speaks or leaves, and it calls
// hydrogen back, at the base URL in the field `callback`, to send to one client or to all.
//
// It keeps no state. Who is asking comes with each request (the context that /authorize gave), so any number of
// copies may run, each may be restarted at any time, and none needs to know which gateway holds a client.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 9000);

// A key of `spec.signing` of the group, `whsec_...`. With it, only requests that hydrogen has signed are taken.
const signingKey = process.env.SIGNING_KEY;
// Whoever reaches this service could name any URL. So one that is not signed is called on these hosts alone.
const callbackHosts = (process.env.CALLBACK_HOSTS ?? 'localhost,127.0.0.1').split(',');

// Delivery is at least once: a message may come again, under the same id, when our answer to it was lost. This set
// spares the room most repetitions. It is a convenience, bounded and gone with the process; what must never happen
// twice belongs in a database, under a unique key on the message id.
const said = new Set();
const saidMax = 10_000;

const routes = {
  // Asked before the upgrade: ws://.../chat?name=alice. The context returns with every later request.
  '/authorize': ({ body }) => {
    const name = new Map(body.query).get('name') ?? ''; // [["name", "alice"]]
    if (!/^\w{1,20}$/.test(name)) return { status: 403 };
    return { status: 200, text: JSON.stringify({ context: { name } }) };
  },

  // The connection is about to open. What is sent to it from in here arrives once it is open.
  '/connected': async ({ callback, body, name }) => {
    await post(`${callback}/connections/${body.connection_id}/_send`, `Welcome ${name}! Try /help.`);
    await broadcast(callback, `* ${name} joined`);
    return { status: 200 };
  },

  '/disconnected': async ({ callback, name }) => {
    await broadcast(callback, `* ${name} left`);
    return { status: 200 };
  },

  '/messages': async ({ callback, body, name, messageId }) => {
    if (said.has(messageId)) return { status: 200 };
    await broadcast(callback, `${name}: ${body.message}`);
    said.add(messageId); // only now: had the broadcast failed, the next attempt must say it
    if (said.size > saidMax) said.delete(said.values().next().value);
    return { status: 200 };
  },

  // The rule has `reply: true`: what is answered here goes to the client that asked.
  '/commands': async ({ callback, body, name }) => {
    switch (body.message.trim()) {
      case '/who':
        return { status: 200, text: `You are ${name}, on connection ${body.connection_id}.` };
      case '/quit':
        await post(`${callback}/connections/${body.connection_id}/_disconnect?code=1000`, 'Bye!');
        return { status: 200 };
      default:
        return { status: 200, text: 'Commands: /who, /quit, /help. Anything else goes to the room.' };
    }
  },
};

function broadcast(callback, text) {
  return post(`${callback}/connections/_broadcast?endpoints[]=/chat`, text);
}

/** A client that is gone (410) is nobody's failure; any other refusal is, and makes hydrogen try again later. */
async function post(url, text) {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: text });
  if (!response.ok && response.status !== 410) throw new Error(`${url}: ${response.status} ${await response.text()}`);
}

/** Standard Webhooks: an HMAC of id, time and body. https://www.standardwebhooks.com has libraries that do this. */
function isSigned(headers, bytes) {
  const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signatures = '' } = headers;
  if (Math.abs(Date.now() / 1000 - Number(seconds)) > 300) return false; // an old request that somebody repeats
  const key = Buffer.from(signingKey.slice('whsec_'.length), 'base64');
  const expected = createHmac('sha256', key).update(`${id}.${seconds}.`).update(bytes).digest();
  return signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature.slice('v1,'.length), 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function trusted(callback) {
  if (callback === undefined || signingKey || callbackHosts.includes(new URL(callback).hostname)) return callback;
  throw new Error(`${callback} is neither signed nor among CALLBACK_HOSTS`);
}

createServer(async (request, response) => {
  const route = routes[request.url];
  if (route === undefined) return response.writeHead(404).end();
  try {
    const bytes = Buffer.concat(await request.toArray());
    if (signingKey && !isSigned(request.headers, bytes)) return response.writeHead(401).end();
    const body = JSON.parse(bytes.toString());
    const { status, text = '' } = await route({
      body,
      name: body.context?.authorizer?.name,
      callback: trusted(body.callback),
      messageId: request.headers['hydrogen-message-id'],
    });
    response.writeHead(status).end(text);
  } catch (err) {
    console.error(err);
    response.writeHead(503).end(); // 5xx: a message is delivered again, a connecting client is refused
  }
}).listen(port, () => console.log(`chat: listening on port ${port}`));
