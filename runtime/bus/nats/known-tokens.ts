/**
 * A token that is being rotated: a mounted secret has the new one before the servers do, or after them. So whoever is refused
 * with the new one tries the one that was accepted last, too.
 */

import { type NatsConnection, NatsError } from 'nats';

type Login = (token: string | undefined) => Promise<NatsConnection>;

export class KnownTokens {
  #accepted: string | undefined;

  /** @throws what `login` throws with the token itself */
  async login(token: string | undefined, login: Login): Promise<NatsConnection> {
    const earlier = this.#accepted;
    let used = token;
    let connection: NatsConnection;
    try {
      connection = await login(token);
    } catch (refusal) {
      if (token === undefined || earlier === undefined || earlier === token || !isRefused(refusal)) throw refusal;
      used = earlier;
      connection = await login(earlier).catch(() => Promise.reject(refusal));
    }
    this.#accepted = used;
    return connection;
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof NatsError && error.isAuthError();
}
