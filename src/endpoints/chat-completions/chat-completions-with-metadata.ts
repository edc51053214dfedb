/** POST /api/v1/llm/chat/completions: chat completions whose JSON says in `_metadata` what the call cost, for Ops-Center's callers. */
import type { Endpoint, Receipt } from '../../call/endpoint.ts'
import { metadataOf } from '../metadata-of.ts'
import { chatCompletions } from './chat-completions.ts'

const BRACE = '}'.charCodeAt(0)

export const chatCompletionsWithMetadata: Endpoint = { ...chatCompletions, addReceipt: addMetadata }

/** `_metadata` goes before the last brace, so the rest of the body stays as the provider wrote it. */
function addMetadata(body: Buffer, receipt: Receipt): Buffer {
  const end = body.lastIndexOf(BRACE)
  const member = `,"_metadata":${JSON.stringify(metadataOf(receipt))}}`
  return Buffer.concat([body.subarray(0, end), Buffer.from(member)])
}
