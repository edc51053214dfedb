/** Responses for those of OpenAI's dialect that speak it: requests and responses pass as they are, but for what is priced, capped and shown. */
import { responseAdditionsOf } from '../known-members/additions.ts'
import { isOwnHost } from '../openai-body.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import { unknownTier } from '../openai-tiers.ts'
import type { ResponsesCapability } from '../responses.ts'
import { responseDefaults } from './defaults.ts'
import type { ResponsesFacts } from './facts.ts'
import { unservedMembers } from './refusals.ts'
import { prepareResponse } from './request.ts'
import { readWholeResponse } from './response.ts'
import { readResponseStream } from './stream.ts'
import { responseTools } from './tools.ts'

/** Where clients write what is newer than this program. */
const BELOW: readonly string[] = ['input', 'tools', 'text', 'tool_choice']

export function responsesOf(dialect: OpenAiFacts, facts: ResponsesFacts): ResponsesCapability {
  const reasons = (model: string) => dialect.model(model).hiddenReasoning
  return {
    speaksAt: (apiBase) => isOwnHost(dialect, apiBase) && !isOldAzure(apiBase),
    takes: responseAdditionsOf(dialect.name),
    passesBelow: (apiBase) => (isOwnHost(dialect, apiBase) ? BELOW : []),
    defaultsOf: responseDefaults,
    mediaTokens: dialect.mediaTokens,
    serverTools: (json, model) => [
      ...(dialect.serverTools?.({ models: json.models }, model) ?? []),
      ...responseTools(json, facts, reasons(model)),
    ],
    refuses: (json, model, isKept) => [
      ...unservedMembers(json, isKept),
      ...(dialect.refuses?.(json, model) ?? []),
      ...unknownTier(json, dialect.label),
    ],
    leastOutput: () => facts.leastOutput,
    mayServe: dialect.mayServe ?? (() => []),
    prepare: (call) => prepareResponse(dialect, facts, call),
    readResponse: (body, asked) => readWholeResponse(dialect, body, asked),
    readStream: (asked) => readResponseStream(dialect, asked),
  }
}

/** Azure's older addresses name the deployment, and have no responses below it. */
function isOldAzure(apiBase: string | null): boolean {
  return apiBase !== null && /\/deployments(?:\/|$)/.test(new URL(apiBase).pathname)
}
