/** A call as the semantic conventions for generative AI describe it. No text of a prompt or a response is in it. */

import { formatDecimal } from '../../providers/decimal.ts'
import type { Usage } from '../../providers/usage.ts'
import type { CallTrace } from './traces.ts'

export interface TracedCall {
  callId: string
  /** What the books call it: `llm_inference`, `embedding` ... */
  serviceType: string
  /** The caller's `traceparent`. */
  traceparent: string | null
  endedAt: number
  durationMs: number
  firstByteMs: number | null
  organizationId: string
  userId: string
  /** As the caller asked for it, and as the provider calls it. */
  model: string
  upstreamModel: string
  provider: string
  deploymentId: string
  stream: boolean
  outcome: string
  retries: number
  bill: {
    microcredits: bigint
    usage: Usage
    provenance: string
    servedModel: string | null
    finishReasons: readonly string[]
  } | null
  /** The kind of failure; null where it was answered. */
  error: string | null
}

const OPERATIONS: Readonly<Record<string, string>> = { embedding: 'embeddings', image_generation: 'generate_content' }

/** Where the conventions have another word for a provider than LiteLLM has. */
const PROVIDERS: Readonly<Record<string, string>> = {
  gemini: 'gcp.gemini',
  xai: 'x_ai',
  azure: 'azure.ai.openai',
  mistral: 'mistral_ai',
  moonshot: 'moonshot_ai',
}

export function callTrace(call: TracedCall): CallTrace {
  const operation = OPERATIONS[call.serviceType] ?? 'chat'
  const provider = PROVIDERS[call.provider] ?? call.provider
  return {
    name: `${operation} ${call.model}`,
    startMs: call.endedAt - call.durationMs,
    endMs: call.endedAt,
    traceparent: call.traceparent,
    error: call.error,
    attributes: {
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': provider,
      // Its older name, which collectors still read.
      'gen_ai.system': provider,
      'gen_ai.request.model': call.model,
      ...billAttributes(call),
      ...(call.error === null ? {} : { 'error.type': call.error }),
      ...(call.firstByteMs === null ? {} : { 'tollgate.first_byte_ms': Math.round(call.firstByteMs) }),
      'tollgate.call_id': call.callId,
      'tollgate.organization_id': call.organizationId,
      'tollgate.user_id': call.userId,
      'tollgate.deployment_id': call.deploymentId,
      'tollgate.upstream_model': call.upstreamModel,
      'tollgate.outcome': call.outcome,
      'tollgate.stream': call.stream,
      'tollgate.retries': call.retries,
    },
  }
}

/** Input is all of it, as the conventions count: cached tokens are within. The cost is what the payer was charged. */
function billAttributes({ bill, upstreamModel }: TracedCall): CallTrace['attributes'] {
  if (bill === null) return {}
  const { usage, microcredits, provenance, servedModel, finishReasons } = bill
  const written = usage.cacheWrite5m + usage.cacheWrite1h
  const read = usage.cacheRead + usage.cacheReadAudio
  return {
    'gen_ai.response.model': servedModel ?? upstreamModel,
    ...(finishReasons.length === 0 ? {} : { 'gen_ai.response.finish_reasons': [...finishReasons] }),
    'gen_ai.usage.input_tokens': usage.input + usage.audioInput + usage.imageInput + read + written,
    'gen_ai.usage.output_tokens': usage.output + usage.audioOutput + usage.imageOutput,
    'gen_ai.usage.cache_read.input_tokens': read,
    'gen_ai.usage.cache_creation.input_tokens': written,
    // A microcredit is a nano-dollar.
    'tollgate.cost_usd': Number(formatDecimal(microcredits, 9)),
    'tollgate.credits': formatDecimal(microcredits, 6),
    'tollgate.provenance': provenance,
  }
}
