// The chat's service. It speaks HTTP only: hydrogen calls it when a client connects, speaks or leaves, and it calls
// hydrogen back, at the base URL in the field `callback`: "to alice", "to the room".
//
// It keeps no state. /authorize says who a client is and which channels it is in; hydrogen knows the rest. So any number
// of copies may run, each may be restarted at any time, and none needs to know who is connected, or where.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 9000);

// A key of `spec.signing` of the group, `whsec_...`. With it, only requests that hydrogen has signed are taken.
const signingKey = process.env.SIGNING_KEY;
// Whoever reaches this service could name any URL. So one that is not signed is called on these hosts alone.
const callbackHosts = (process.env.CALLBACK_HOSTS ?? 'localhost,127.0.0.1').split(',');

// The token of `management.tokens`: without one, users and channels are reached on this machine alone.
const authorization = process.env.TOKEN ? { authorization: `Bearer ${process.env.TOKEN}` } : {};

const routes = {
  // Asked before the upgrade: ws://.../chat?name=alice. The user comes back with every later request.
  '/authorize': ({ query }) => {
    const user = new Map(query).get('name') ?? ''; // [["name", "alice"]]
    if (!/^\w{1,20}$/.test(user)) return { status: 403 };
    return { text: JSON.stringify({ user, channels: ['room'] }) };
  },

  // The connection is about to open. What is sent to it from in here arrives once it is open.
  '/connected': async ({ callback, user, connection_id }) => {
    await post(`${callback}/connections/${connection_id}/_send`, `Welcome ${user}! Try /help.`);
    await post(`${callback}/channels/room/_send`, `* ${user} joined`);
  },

  '/disconnected': ({ callback, user }) => post(`${callback}/channels/room/_send`, `* ${user} left`),

  // Delivery is at least once, always under the same id. With that as the key, hydrogen sends it to nobody twice.
  '/messages': ({ callback, user, message }, id) =>
    post(`${callback}/channels/room/_send`, `${user}: ${message}`, { 'idempotency-key': id }),

  // The rule has `reply: true`: what is answered here goes to the client that asked.
  '/commands': async ({ callback, user, connection_id, message }, id) => {
    const [command, whom = '', ...words] = message.trim().split(/\s+/);
    switch (command) {
      case '/who':
        return { text: `You are ${user}, on connection ${connection_id}.` };
      case '/to': {
        const to = `${callback}/users/_send?user=${encodeURIComponent(whom)}`;
        const { sent } = await post(to, `${user} to you: ${words.join(' ')}`, { 'idempotency-key': id });
        return { text: sent > 0 ? `To ${whom}: ${words.join(' ')}` : `${whom} is not here.` };
      }
      case '/quit':
        await post(`${callback}/connections/${connection_id}/_disconnect?code=1000`, 'Bye!');
        return {};
      default:
        return { text: 'Commands: /who, /to NAME TEXT, /quit, /help. Anything else goes to the room.' };
    }
  },
};

/** A client that is gone (410) is nobody's failure; any other refusal is, and makes hydrogen try again later. */
async function post(url, body, headers = {}) {
  const response = await fetch(url, { method: 'POST', headers: { ...authorization, ...headers }, body });
  const text = await response.text();
  if (!response.ok && response.status !== 410) throw new Error(`${url}: ${response.status} ${text}`);
  return response.ok && text ? JSON.parse(text) : {};
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
  if (callback === undefined || signingKey || callbackHosts.includes(new URL(callback).hostname)) return;
  throw new Error(`${callback} is neither signed nor among CALLBACK_HOSTS`);
}

createServer(async (request, response) => {
  const route = routes[request.url];
  if (route === undefined) return response.writeHead(404).end();
  try {
    const bytes = Buffer.concat(await request.toArray());
    if (signingKey && !isSigned(request.headers, bytes)) return response.writeHead(401).end();
    const body = JSON.parse(bytes.toString());
    trusted(body.callback);
    const { status = 200, text = '' } = (await route(body, request.headers['hydrogen-message-id'])) ?? {};
    response.writeHead(status).end(text);
  } catch (err) {
    console.error(err);
    response.writeHead(503).end(); // 5xx: a message is delivered again, a connecting client is refused
  }
}).listen(port, () => console.log(`chat: listening on port ${port}`));
