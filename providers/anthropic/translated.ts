/** Chat completions of Claude, translated both ways, whoever hosts it. */
import type { ChatCapability, ProviderCall } from '../provider.ts'
import { unpackClaudeId } from './carried.ts'
import { claudeMediaTokens } from './media.ts'
import { type Translation, translateRequest } from './request.ts'
import { readClaudeResponse } from './response.ts'
import { readClaudeStream } from './stream.ts'
import { leastOutput } from './thinking.ts'
import { advisors, claudeServerTools } from './tools.ts'

/** Where a request goes, and what a host fetches by itself, is the host's. */
export const translatedClaude: Omit<ChatCapability, 'mustInline' | 'prepare'> = {
  mediaTokens: claudeMediaTokens,
  unpackId: unpackClaudeId,
  serverTools: (json) => claudeServerTools(json),
  mayServe: advisors,
  leastOutput,
  takes: () => null,
  refuses: (json, model) => translateRequest(json, model, null).refusals,
  readResponse: readClaudeResponse,
  readStream: readClaudeStream,
}

/** What is asked for: the caller's members over the operator's, without those to be left out. */
export function translateCall(call: ProviderCall): Translation {
  const json: Record<string, unknown> = { ...call.defaults, ...call.request.json }
  for (const member of call.drop) delete json[member]
  // Our cap bounds the others; then the caller's counts, then the operator's.
  return translateRequest(json, call.model, call.outputCap ?? call.request.outputCap)
}
