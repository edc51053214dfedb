/** Terms of calls that run no tools and ask for nothing that is priced apart. */
import type { Terms } from '../call/endpoint.ts'

export const PLAIN_TERMS: Pick<Terms, 'tools' | 'mayServe' | 'serviceTier' | 'asksForAudio' | 'asksForLongCache'> = {
  tools: [],
  mayServe: [],
  serviceTier: null,
  asksForAudio: false,
  asksForLongCache: false,
}
