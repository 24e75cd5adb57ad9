/**
 * What services and hydrogen say to one another, as JSON over HTTP: types for services that are written in TypeScript, exported
 * as `hydrogen-gateway/wire`. docs/wire.md has the whole contract, with statuses, headers and limits. A test compares these
 * types with what a gateway and a message processor send.
 */

/** An object of JSON. */
export type JsonObject = { readonly [name: string]: JsonValue };
/** Any value of JSON. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** What every request to a service says about the connection that it is for. */
export interface ServiceRequest {
  /** The gateway process that holds the connection. */
  readonly instance_id: string;
  /** `<namespace>_<name>` of the HydrogenGroup. */
  readonly group_id: string;
  /** Unguessable; names the connection in the management API. */
  readonly connection_id: string;
  /** The path that the client connected to. */
  readonly endpoint: string;
  /** Who the authorizer said the client is; absent if it did not. */
  readonly user?: string;
  /** Base URL of the management API, as in the header `hydrogen-callback`; absent when none is known. */
  readonly callback?: string;
  /** When the gateway read the message or made the request: RFC 3339, UTC, milliseconds. */
  readonly time: string;
}

/** @typeParam Context what the authorizer of the gateway answers as `context` */
export interface ConnectionContext<Context extends object = JsonObject> {
  /** What the authorizer said about this client, `{}` without one. Clients cannot influence it. */
  readonly authorizer: Context;
}

/**
 * Body of the request that a destination receives for each client message, and that a rules engine receives before. It may
 * come again with the same header `hydrogen-message-id`: delivery is at least once.
 */
export interface MessageRequest<Context extends object = JsonObject> extends ServiceRequest {
  readonly context: ConnectionContext<Context>;
  /** The text of a text frame, or the bytes of a binary frame in base64. */
  readonly message: string;
  readonly message_encoding: 'text' | 'base64';
}

/** Headers of the requests that destinations receive, in lower case as Node shows them. */
export interface DeliveryHeaders {
  /** The same on every attempt: the idempotency key. `<connection id>-<n>`, n counts the connection's messages from 1. */
  readonly 'hydrogen-message-id': string;
  /** 1 for the first attempt, as a decimal number. */
  readonly 'hydrogen-attempt': string;
  /** Base URL of the management API; absent when none is known. */
  readonly 'hydrogen-callback'?: string;
  /** W3C Trace Context; all attempts of a message share the trace id. */
  readonly traceparent: string;
}

/** Body of the request that an authorizer receives before a client is admitted. */
export interface AuthorizerRequest extends ServiceRequest {
  /** The headers of the upgrade request, in their order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The decoded query of the upgrade request, in its order. */
  readonly query: readonly (readonly [name: string, value: string])[];
  /** Address of the client: that of the socket, or what trusted proxies say. */
  readonly remote_address: string;
  /** The subprotocols that the client offers, in its order. */
  readonly subprotocols: readonly string[];
}

/** Body of an authorizer's answer with status 200, which admits the client. 403 refuses it with 403, any other 4xx with 401. */
export interface AuthorizerResponse<Context extends object = JsonObject> {
  /** Comes back with every message and hook of this connection. @default {} */
  readonly context?: Context;
  /** Who the client is: 1 to 128 bytes of UTF-8. */
  readonly user?: string;
  /** The channels that the connection is a member of from the beginning. @default - none */
  readonly channels?: readonly string[];
  /** When the connection is closed, with 4001: RFC 3339. @default - never */
  readonly expires_at?: string;
  /** One that the client offered. @default - the first that the gateway accepts */
  readonly subprotocol?: string;
}

/** Body of the request that a connect hook receives. 2xx admits the client, anything else refuses it with 500. */
export interface ConnectRequest<Context extends object = JsonObject> extends ServiceRequest {
  readonly context: ConnectionContext<Context>;
}

/** Body of the request that a disconnect hook receives; repeated until the answer is 2xx, within its attempts. */
export interface DisconnectRequest<Context extends object = JsonObject> extends ConnectRequest<Context> {
  /** The close code: of the client (1005 if it sent none) or of the gateway; 1006 without a close frame. */
  readonly code: number;
  readonly reason: string;
  /** How long the connection was open. */
  readonly connected_seconds: number;
}

/** Body of a rules engine's answer with status 200: where the message goes. */
export interface RulesEngineResponse {
  /** An http or https URL, to a host of `allowedHosts`. */
  readonly endpoint: string;
  /** Further headers of the request. Those of hydrogen, of the connection and of the body cannot be set. @default {} */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Body of the answer 200 to `GET /connections/{id}` of the management API. */
export interface ConnectionDescription {
  readonly connection_id: string;
  readonly instance_id: string;
  readonly endpoint: string;
  /** Who the authorizer said the client is; absent if it did not. */
  readonly user?: string;
  /** The channels that it is a member of. */
  readonly channels: readonly string[];
  readonly state: string;
  readonly remote_address: string;
  /** The accepted subprotocol; empty: none. */
  readonly subprotocol: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly connected_at: string;
  /** When the gateway last heard of the client: RFC 3339, UTC, milliseconds. */
  readonly last_seen_at: string;
  /** When the gateway will close it: RFC 3339, UTC, milliseconds; absent: never. */
  readonly ends_at?: string;
  /** Bytes that wait to be sent to the client. */
  readonly buffered_bytes: number;
}

/** Query of `POST /connections/{id}/_disconnect`; the body is the reason, at most 123 bytes. */
export interface DisconnectQuery {
  /** 1000 or 3000 to 4999. @default 1008 */
  readonly code?: number;
}

/** Connections over all gateways of the group. */
export interface AnsweredCounts {
  /** Those that could be sent to. */
  readonly connections: number;
  /** Gateways that are alive and did not answer within three seconds: their connections are not counted. */
  readonly unanswered: number;
}

/** Body of the answer to `POST /users/{user}/_send` and `POST /channels/{channel}/_send`. */
export interface SendAnswer extends AnsweredCounts {
  /** Connections that were given the message. */
  readonly sent: number;
  /** Connections that were too slow for it, and are closed. */
  readonly full: number;
}

/** Body of the answer to `PUT` and `DELETE /channels/{channel}/users/{user}`. */
export interface MembershipAnswer extends AnsweredCounts {
  /** Connections that are in too many channels. */
  readonly refused: number;
}

/** Body of the answer to `GET /connections`, `GET /users/{user}` and `GET /channels/{channel}`. */
export interface ConnectionPage extends AnsweredCounts {
  /** In the order of their ids. `connections` counts those of all pages. */
  readonly items: readonly ConnectionDescription[];
  /** For the query of the next page; absent on the last. */
  readonly cursor?: string;
}

/** Query of `POST /connections/_broadcast`; the body is the message. */
export interface BroadcastQuery {
  /** The paths whose clients get it. @default - all */
  readonly 'endpoints[]'?: readonly string[];
}

/** Body of the answer to `GET /health` of the management API: 200 with `ok`, 503 with `not ready`. */
export interface HealthResponse {
  readonly status: 'ok' | 'not ready';
  readonly reason: string;
}

/** Body of every answer of the management API that is not 2xx, and of a refused upgrade. */
export interface ErrorResponse {
  /** `HYD_...`, of the table in docs/wire.md. */
  readonly code: string;
  /** For people. */
  readonly message: string;
}
