/** A stored value that does not open and will not by itself. The message is for the operator and holds no part of the value. */
export type UnreadableReason =
  | 'unknown_root'
  | 'misplaced'
  | 'damaged'
  | 'not_sealed'
  | 'no_fernet_key'
  | 'fernet_refused'
  | 'not_sendable'

export class UnreadableKeyError extends Error {
  readonly reason: UnreadableReason
  constructor(reason: UnreadableReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UnreadableKeyError'
    this.reason = reason
  }
}
