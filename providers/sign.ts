/** What is signed, or asked for with a token, rather than sent with a key. Clock, network and long work are lent by the caller. */

/** A request without the headers that say who asks. */
export interface Unsigned {
  origin: string
  path: string
  headers: Readonly<Record<string, string>>
  /** SHA-256 of its body. */
  hash(): Promise<Buffer>
}

export interface Signing {
  /** A credential as `cloud` packs it, or a token that is sent as it is. */
  credential: string
  /** The deployment's address. */
  apiBase: string | null
  at: Date
  /** A token that a credential is exchanged for. @throws {SigningError} */
  token(ask: TokenRequest): Promise<string>
}

/** An exchange by OAuth 2: a form goes to an address, and JSON with `access_token` and `expires_in` comes back. */
export interface TokenRequest {
  /** Equal for equal tokens. */
  id: string
  url: string
  form(): Promise<Readonly<Record<string, string>>>
}

/** Returns the headers to add. @throws {SigningError} */
export type Sign = (request: Unsigned, by: Signing) => Promise<Record<string, string>>

/** No request can be made with a credential. `message` is for the operator and holds no secret. */
export class SigningError extends Error {
  readonly kind: 'auth' | 'unreachable'

  constructor(kind: SigningError['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}
