/** A call as a provider is asked to prepare it: nothing set but what the test is about. */
import type { ProviderCall } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'

/** @param text the caller's request, as JSON. */
export function providerCall(
  text: string,
  own: Pick<ProviderCall, 'model' | 'apiKey'> & Partial<ProviderCall>,
): ProviderCall {
  return {
    request: parseRequest(Buffer.from(text)),
    apiBase: null,
    organization: null,
    extraHeaders: {},
    defaults: {},
    outputCap: null,
    drop: [],
    dropAt: [],
    maxPrice: null,
    askUsage: true,
    ...own,
  }
}
