/**
 * Every refusal and failure that a client, a service or an operator can encounter, in one table: the stable code, its
 * sentence, and its effect. `http` is the status of the upgrade or management answer, `close` the WebSocket close code,
 * `delivery` what happens to the client message. Codes are an API: never renamed, never reused.
 */

export interface ErrorEntry {
  readonly message: string;
  readonly http?: number;
  readonly close?: number;
  readonly delivery?: 'retry' | 'deadLetter';
}

export const errors = {
  // Refused upgrades: the client gets an HTTP answer and no WebSocket is opened.
  HYD_UPGRADE_REQUIRED: { message: 'this port speaks WebSocket only: send an upgrade request', http: 426 },
  HYD_BAD_UPGRADE: {
    message: 'the upgrade request is not a valid WebSocket handshake (RFC 6455 section 4.2.1)',
    http: 400,
  },
  HYD_SUBPROTOCOL_UNKNOWN: { message: 'this gateway supports none of the offered subprotocols', http: 400 },
  HYD_HEADERS_TOO_LARGE: { message: 'the request line and headers are larger than 16 KiB', http: 431 },
  HYD_REQUEST_TIMEOUT: { message: 'the request did not arrive in time', http: 408 },
  HYD_UNKNOWN_ENDPOINT: { message: 'no endpoint of this gateway has this path', http: 404 },
  HYD_ORIGIN_FORBIDDEN: { message: 'this origin is not among allowedOrigins', http: 403 },
  HYD_UNAUTHORIZED: { message: 'the authorizer did not accept this client', http: 401 },
  HYD_FORBIDDEN: { message: 'the authorizer refused this client', http: 403 },
  HYD_AUTHORIZER_UNAVAILABLE: { message: 'the authorizer is unavailable', http: 503 },
  HYD_AUTHORIZER_INVALID: { message: "the authorizer's answer is not in the documented form", http: 503 },
  HYD_CLIENT_LEFT: { message: 'the client left before its upgrade was answered', http: 400 },
  HYD_CONNECT_HOOK_REFUSED: { message: 'the connect hook refused this connection', http: 500 },
  HYD_TOO_MANY_CONNECTIONS: { message: 'this gateway has reached limits.maxConnections', http: 503 },
  HYD_TOO_MANY_HANDSHAKES: { message: 'this gateway has reached limits.maxPendingHandshakes', http: 503 },
  HYD_TOO_MANY_FROM_ADDRESS: { message: 'this address has as many connections or handshakes as it may', http: 429 },
  HYD_NOT_READY: { message: 'the bus is unreachable or no message processor consumes this endpoint yet', http: 503 },
  HYD_DRAINING: {
    message: 'this gateway is shutting down: connect again to reach another one',
    http: 503,
    close: 1001,
  },

  // Closed connections.
  HYD_CONNECTION_EXPIRED: { message: 'the authorization has expired: renew it and connect again', close: 4001 },
  HYD_CONNECTION_TOO_OLD: { message: 'limits.maxConnectionAgeSeconds is reached: connect again', close: 1001 },
  HYD_MESSAGES_NOT_ACCEPTED: { message: 'this gateway takes no client messages', close: 1003 },
  HYD_INVALID_UTF8: { message: 'a text message must be valid UTF-8', http: 400, close: 1007 },
  HYD_PROTOCOL_ERROR: { message: 'the client broke the WebSocket protocol (RFC 6455)', close: 1002 },
  HYD_MESSAGE_TIMEOUT: { message: 'the message took longer than limits.messageTimeoutSeconds', close: 1008 },
  HYD_MEMORY_EXHAUSTED: { message: 'this gateway has reached limits.maxMemoryBytes', http: 503, close: 1013 },
  HYD_TOO_MANY_FRAGMENTS: { message: 'the message has more than 1024 fragments', close: 1008 },
  HYD_MESSAGE_TOO_LARGE: { message: 'the message is too large', http: 413, close: 1009 },
  HYD_BUS_UNREACHABLE: { message: 'the message bus is unreachable', http: 503, close: 1013 },
  HYD_MESSAGES_UNSAVED: { message: 'the last messages could not be saved: connect again and resend them', close: 1013 },
  HYD_SLOW_CLIENT: { message: 'the client reads slower than messages arrive', http: 429, close: 1013 },
  HYD_HEARTBEAT_TIMEOUT: { message: 'the client did not answer a ping within heartbeat.timeoutSeconds', close: 1006 },

  // Management API.
  HYD_CONNECTION_ID_INVALID: { message: 'this is not a connection id', http: 404 },
  HYD_CONNECTION_GONE: { message: 'this connection is closed', http: 410 },
  HYD_OWNER_TIMEOUT: { message: 'the gateway that owns this connection did not answer in time', http: 504 },
  HYD_OWNER_UNREACHABLE: { message: 'the gateway that owns this connection is cut off: try again', http: 503 },
  HYD_CLOSE_CODE_INVALID: { message: 'code must be 1000 or 3000 to 4999', http: 400 },
  HYD_CLOSE_REASON_INVALID: {
    message: 'a close reason must be valid UTF-8 of at most 123 bytes, and with 4000 to 4999 not begin with HYD_',
    http: 400,
  },
  HYD_ENDPOINTS_INVALID: { message: 'endpoints[] must be paths that start with /', http: 400 },
  HYD_ADDRESS_INVALID: { message: 'this can be no name of a user or a channel', http: 400 },
  HYD_TOO_MANY_CHANNELS: { message: 'this connection is in limits.maxChannelsPerConnection channels', http: 409 },
  HYD_TOKEN_REQUIRED: { message: 'without a token, this is answered on loopback alone', http: 403 },
  HYD_SCOPE_MISSING: { message: 'this token does not have the scope', http: 403 },
  HYD_ORIGIN_REFUSED: { message: 'a page of this origin may not call: see management.allowedOrigins', http: 403 },
  HYD_HOST_REFUSED: { message: 'on loopback, the Host must be a name of this machine', http: 403 },
  HYD_TOKEN_INVALID: { message: 'the bearer token is missing or wrong', http: 401 },
  HYD_NOT_FOUND: { message: 'the management API has no such route', http: 404 },
  HYD_ENCODING_UNSUPPORTED: { message: 'a body is taken as it is: send it without Content-Encoding', http: 415 },
  HYD_BAD_REQUEST: { message: 'the request is malformed', http: 400 },
  HYD_INTERNAL: { message: 'an unexpected failure: see the log of this gateway', http: 500, close: 1011 },

  // Deliveries.
  HYD_DESTINATION_UNREACHABLE: { message: 'the destination could not be reached', delivery: 'retry' },
  HYD_DESTINATION_TIMEOUT: { message: 'the destination did not answer within timeoutSeconds', delivery: 'retry' },
  HYD_DESTINATION_FAILED: { message: 'the destination answered with a status that is retried', delivery: 'retry' },
  HYD_DESTINATION_REDIRECTED: {
    message: 'the destination answered with a redirect, which is never followed',
    delivery: 'retry',
  },
  HYD_DESTINATION_REJECTED: {
    message: 'the destination rejected this message for good',
    delivery: 'deadLetter',
  },
  HYD_ANSWER_TOO_LARGE: { message: 'the answer is larger than the limit', delivery: 'retry' },
  HYD_RULES_ENGINE_FAILED: { message: 'the rules engine did not give a usable answer', delivery: 'retry' },
  HYD_HOST_FORBIDDEN: { message: 'the rules engine named a URL that allowedHosts does not allow', delivery: 'retry' },
  HYD_NO_RULE_MATCHED: { message: 'no rule matches the message', delivery: 'deadLetter' },
  HYD_MESSAGE_UNREADABLE: {
    message: 'the message on the stream is not in the format that gateways write',
    delivery: 'deadLetter',
  },
  HYD_EXPIRED: { message: 'the message waited longer than delivery.maxWaitSeconds', delivery: 'deadLetter' },
  HYD_PROCESSOR_LOST: {
    message: 'each pod that tried this message died or stopped responding before the attempt had ended',
    delivery: 'deadLetter',
  },
  HYD_WAITING_ROOM_FULL: { message: 'the waiting room of the destination is full', delivery: 'deadLetter' },
  HYD_DESCRIPTORS_EXHAUSTED: { message: 'this process has no file descriptors left', delivery: 'retry' },
  HYD_SECRET_MISSING: { message: 'a referenced secret is missing or cannot be used', delivery: 'retry' },

  // Process.
  HYD_CONFIG_INVALID: { message: 'the configuration is invalid' },
  HYD_MANAGEMENT_UNREACHABLE: { message: 'the management API could not be reached' },
  HYD_DEAD_LETTER_MISSING: { message: 'there is no such dead letter' },
  HYD_BUS_STOPPED: { message: 'the bus was stopped before it acknowledged the message' },
  HYD_DEAD_LETTERS_REFUSED: {
    message: 'the dead-letter stream accepts no more: purge it or raise deadLetter.maxBytes',
  },
  HYD_STREAM_CONFLICT: { message: 'the stream or consumer exists with settings that cannot be changed in place' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errors;

/** A refusal or failure of the table. `message` is the table's sentence, then `detail` where there is one. */
export class HydrogenError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail = '', options?: { readonly cause?: unknown }) {
    const gap = detail === '' ? '' : detail.startsWith('\n') ? ':' : ': ';
    super(`${errors[code].message}${gap}${detail}`, options);
    this.name = 'HydrogenError';
    this.code = code;
  }

  /** What this error does; fields that do not apply are absent. */
  get entry(): ErrorEntry {
    return errors[this.code];
  }
}
