"""The chat's service. It speaks HTTP only: hydrogen calls it when a client connects, speaks or leaves, and it calls
hydrogen back, at the base URL in the field `callback`: "to alice", "to the room".

It keeps no state. /authorize says who a client is and which channels it is in; hydrogen knows the rest. So any number of
copies may run, each may be restarted at any time, and none needs to know who is connected, or where.
"""

import base64
import hmac
import json
import os
import re
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

PORT = int(os.environ.get("PORT", "9000"))

# A key of `spec.signing` of the group, `whsec_...`. With it, only requests that hydrogen has signed are taken.
SIGNING_KEY = os.environ.get("SIGNING_KEY")
# Whoever reaches this service could name any URL. So one that is not signed is called on these hosts alone.
CALLBACK_HOSTS = os.environ.get("CALLBACK_HOSTS", "localhost,127.0.0.1").split(",")

# The token of `management.tokens`: without one, users and channels are reached on this machine alone.
AUTHORIZATION = {"authorization": f"Bearer {os.environ['TOKEN']}"} if os.environ.get("TOKEN") else {}


def authorize(call):
    """Asked before the upgrade: ws://.../chat?name=alice. The user comes back with every later request."""
    user = dict(call.body["query"]).get("name", "")  # [["name", "alice"]]
    if not re.fullmatch(r"\w{1,20}", user, re.ASCII):
        return 403, ""
    return 200, json.dumps({"user": user, "channels": ["room"]})


def connected(call):
    """The connection is about to open. What is sent to it from in here arrives once it is open."""
    post(f"{call.connection}/_send", f"Welcome {call.user}! Try /help.")
    post(call.room, f"* {call.user} joined")


def disconnected(call):
    post(call.room, f"* {call.user} left")


def messages(call):
    """Delivery is at least once, always under the same id. With that as the key, hydrogen sends it to nobody twice."""
    post(call.room, f"{call.user}: {call.body['message']}", call.key)


def commands(call):
    """The rule has `reply: true`: what is answered here goes to the client that asked."""
    command, whom, text, *_ = [*call.body["message"].split(None, 2), "", "", ""]
    if command == "/who":
        return 200, f"You are {call.user}, on connection {call.body['connection_id']}."
    if command == "/to":
        url = f"{call.callback}/users/_send?user={quote(whom, safe='')}"
        sent = post(url, f"{call.user} to you: {text}", call.key)["sent"]
        return 200, f"To {whom}: {text}" if sent else f"{whom} is not here."
    if command == "/quit":
        post(f"{call.connection}/_disconnect?code=1000", "Bye!")
        return 200, ""
    return 200, "Commands: /who, /to NAME TEXT, /quit, /help. Anything else goes to the room."


def post(url, text, headers={}):
    """A client that is gone (410) is nobody's failure; any other refusal is, and makes hydrogen try again later."""
    request = Request(url, text.encode(), {"content-type": "text/plain", **AUTHORIZATION, **headers}, method="POST")
    try:
        with urlopen(request, timeout=5) as response:
            return json.loads(response.read() or "{}")
    except HTTPError as error:
        if error.code != 410:
            raise
        return {}


def is_signed(headers, body):
    """Standard Webhooks: an HMAC of id, time and body. https://www.standardwebhooks.com has libraries that do this."""
    message_id, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "0")
    if abs(time.time() - int(seconds)) > 300:
        return False  # an old request that somebody repeats
    key = base64.b64decode(SIGNING_KEY.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, "sha256")
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return any(hmac.compare_digest(expected, given) for given in headers.get("webhook-signature", "").split())


def trusted(callback):
    if callback is None or SIGNING_KEY or urlsplit(callback).hostname in CALLBACK_HOSTS:
        return callback
    raise ValueError(f"{callback} is neither signed nor among CALLBACK_HOSTS")


ROUTES = {
    "/authorize": authorize,
    "/connected": connected,
    "/disconnected": disconnected,
    "/messages": messages,
    "/commands": commands,
}


class Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open between requests
    disable_nagle_algorithm = True  # the answer leaves at once

    def do_POST(self):
        try:
            data = self.rfile.read(int(self.headers["content-length"]))
            if SIGNING_KEY and not is_signed(self.headers, data):
                return self.answer(401, "")
            self.body = json.loads(data)
            self.user = self.body.get("user")
            self.callback = trusted(self.body.get("callback"))
            self.room = f"{self.callback}/channels/room/_send"
            self.connection = f"{self.callback}/connections/{self.body['connection_id']}"
            self.key = {"idempotency-key": self.headers["hydrogen-message-id"]}
            route = ROUTES.get(self.path)
            status, text = (route(self) or (200, "")) if route else (404, "")
        except Exception:
            traceback.print_exc()
            status, text = 503, ""  # 5xx: a message is delivered again, a connecting client is refused
        self.answer(status, text)

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass  # no line per request


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", PORT), Call)
    print(f"chat: listening on port {PORT}", flush=True)
    server.serve_forever()
