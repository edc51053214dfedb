/** What every handler finds on Hono's context: Node's own request and response, and the ids of this exchange. */
import type { HttpBindings } from '@hono/node-server'

export interface AppEnv {
  Bindings: HttpBindings
  Variables: {
    /** For tracing: the caller's X-Request-ID where it is usable, else `ownId`. */
    requestId: string
    /** A UUID minted here: the call id of a call. */
    ownId: string
  }
}
