/** The form of connection ids: the instance id of the owner, and 128 random bits. */

const connectionId = /^[0-9a-f]{12}-[0-9a-f]{32}$/;

/** True for an id that a gateway could have given out. Nothing else becomes part of a subject. */
export function isConnectionId(id: string): boolean {
  return connectionId.test(id);
}
