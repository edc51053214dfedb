/**
 * How the five providers of dialects.ts say an answer, whole and as a stream: each with the members, frames and oddities of its own
 * that a caller of the product must see nothing of, or see as they are.
 */
import { sse } from './upstream-answers.ts'

type Json = Record<string, unknown>

/** What the model says: pieces of a text, or calls. */
export interface Said {
  text: readonly string[]
  calls: readonly { id: string; name: string; args: string }[]
}

export interface Voice {
  whole(said: Said): Json
  /** The frames of a stream; `asked`: its usage was asked for. */
  frames(said: Said, asked: boolean): string[]
  /** Frames of a stream that fails after these. */
  cut: readonly string[]
}

/** The deltas of a stream. `whole`: a call comes in one piece. */
function deltas({ text, calls }: Said, { whole = false }: { whole?: boolean } = {}): Json[] {
  const pieces = text.map((content): Json => ({ content }))
  for (const [index, { id, name, args }] of calls.entries()) {
    const cuts = whole ? [args] : ['', args.slice(0, 3), args.slice(3, 9), args.slice(9)]
    pieces.push(
      ...cuts.map((piece, i) => ({
        tool_calls: [
          i === 0
            ? { index, id, type: 'function', function: { name, arguments: piece } }
            : { index, function: { arguments: piece } },
        ],
      })),
    )
  }
  return pieces
}

function message({ text, calls }: Said, more: Json = {}): Json {
  const tools = calls.map(({ id, name, args }) => ({ id, type: 'function', function: { name, arguments: args } }))
  const content = text.length === 0 ? null : text.join('')
  return { role: 'assistant', content, ...more, ...(tools.length === 0 ? {} : { tool_calls: tools }) }
}

const reasonOf = ({ calls }: Said) => (calls.length === 0 ? 'stop' : 'tool_calls')
const DONE = 'data: [DONE]\n\n'

/** Pads every chunk, names its tier, states usage as null until it is there. */
const openai: Voice = (() => {
  const head = {
    id: 'chatcmpl-o1',
    created: 1_760_000_000,
    model: 'gpt-4o-mini-2024-07-18',
    system_fingerprint: 'fp_1',
  }
  const usage = {
    prompt_tokens: 120,
    completion_tokens: 30,
    total_tokens: 150,
    prompt_tokens_details: { cached_tokens: 20, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0 },
  }
  const frame = (choices: Json[], stated: Json | null, padding: string) =>
    sse({
      ...head,
      object: 'chat.completion.chunk',
      service_tier: 'default',
      choices,
      usage: stated,
      obfuscation: padding,
    })
  const choice = (delta: Json, reason: string | null) => [{ index: 0, delta, logprobs: null, finish_reason: reason }]
  return {
    whole: (said) => ({
      ...head,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: message(said, { refusal: null, annotations: [] }),
          logprobs: null,
          finish_reason: reasonOf(said),
        },
      ],
      usage,
      service_tier: 'default',
    }),
    frames: (said, asked) => [
      frame(
        choice({ role: 'assistant', content: said.calls.length === 0 ? '' : null, refusal: null }, null),
        null,
        'x',
      ),
      ...deltas(said).map((delta, i) => frame(choice(delta, null), null, 'aB3'.repeat(1 + (i % 3)))),
      frame(choice({}, reasonOf(said)), null, ''),
      ...(asked ? [frame([], usage, 'q7Zk')] : []),
      DONE,
    ],
    cut: [
      sse({ error: { message: 'The server had an error.', type: 'server_error', param: null, code: 'server_error' } }),
    ],
  }
})()

/** Thinks in `reasoning`, says its usage up to three times, fails by an event. */
const groq: Voice = (() => {
  const head = { id: 'chatcmpl-g1', created: 1_760_000_000, model: 'openai/gpt-oss-120b', system_fingerprint: 'fp_2' }
  const usage = {
    queue_time: 0.0049,
    prompt_tokens: 140,
    prompt_time: 0.0146,
    completion_tokens: 60,
    completion_time: 0.1121,
    total_tokens: 200,
    total_time: 0.1267,
    prompt_tokens_details: { cached_tokens: 40 },
    completion_tokens_details: { reasoning_tokens: 25 },
  }
  const id = 'req_01scripted'
  const frame = (choices: Json[], more: Json = {}) =>
    sse({ ...head, object: 'chat.completion.chunk', choices, ...more })
  const choice = (delta: Json, reason: string | null) => [{ index: 0, delta, logprobs: null, finish_reason: reason }]
  const thoughts = ['The user', ' greets.'].map((reasoning) => ({ reasoning, channel: 'analysis' }))
  return {
    whole: (said) => ({
      ...head,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: message(said, { reasoning: 'The user greets.' }),
          logprobs: null,
          finish_reason: reasonOf(said),
        },
      ],
      usage_breakdown: null,
      usage,
      x_groq: { id },
      service_tier: 'on_demand',
    }),
    frames: (said, asked) => [
      frame(choice({ role: 'assistant', content: '' }, null), { x_groq: { id, seed: 7 } }),
      ...[...thoughts, ...deltas(said)].map((delta) => frame(choice(delta, null))),
      frame(choice({}, reasonOf(said)), { x_groq: { id, usage }, ...(asked ? { usage } : {}) }),
      ...(asked ? [frame([], { usage, service_tier: 'on_demand' })] : []),
      DONE,
    ],
    cut: [
      `event: error\n${sse({
        error: {
          message: 'The model made a call that is none.',
          type: 'invalid_request_error',
          code: 'tool_use_failed',
          failed_generation: 'Well, then',
          status_code: 400,
        },
      })}`,
    ],
  }
})()

/** Thinks in `reasoning_content`, calls a tool in one piece, leaves reasoning out of the output, bills in ticks. */
const xai: Voice = (() => {
  const head = { id: '5d0c2f6e-xai', created: 1_760_000_000, model: 'grok-3-mini', system_fingerprint: 'fp_3' }
  const usage = {
    prompt_tokens: 110,
    completion_tokens: 20,
    total_tokens: 180,
    prompt_tokens_details: { text_tokens: 110, audio_tokens: 0, image_tokens: 0, cached_tokens: 10 },
    completion_tokens_details: { reasoning_tokens: 50, audio_tokens: 0, accepted_prediction_tokens: 0 },
    num_sources_used: 0,
    cost_in_usd_ticks: 700_000,
  }
  const frame = (choices: Json[], more: Json = {}) =>
    sse({ ...head, object: 'chat.completion.chunk', choices, ...more })
  const thoughts = ['The user', ' greets.'].map((thought) => ({ role: 'assistant', reasoning_content: thought }))
  return {
    whole: (said) => ({
      ...head,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: message(said, { reasoning_content: 'The user greets.', refusal: null }),
          finish_reason: reasonOf(said),
        },
      ],
      usage,
    }),
    frames: (said, asked) => [
      ...[...thoughts, ...deltas(said, { whole: true })].map((delta) => frame([{ index: 0, delta }])),
      frame([{ index: 0, delta: {}, finish_reason: reasonOf(said) }]),
      ...(asked ? [frame([], { usage })] : []),
      DONE,
    ],
    cut: [sse({ code: 'internal-error', error: 'The service was interrupted.' })],
  }
})()

/** Whichever server the router chose: no space after `data:`, words of its own for the end, usage beside it, no [DONE]. */
const huggingface: Voice = (() => {
  const head = { id: 'chatcmpl-h1', created: 1_760_000_000, model: 'llama-3.3-70b', system_fingerprint: 'fp_4' }
  const usage = {
    prompt_tokens: 80,
    completion_tokens: 25,
    total_tokens: 105,
    prompt_tokens_details: { cached_tokens: 0 },
  }
  const foreign = (said: Said) => (said.calls.length === 0 ? 'eos_token' : 'tool_calls')
  const frame = (choices: Json[], more: Json = {}) =>
    `data:${JSON.stringify({ choices, ...head, object: 'chat.completion.chunk', ...more })}\n\n`
  const time = { queue_time: 0.0001, prompt_time: 0.0033, completion_time: 0.031, created: 1_760_000_000 }
  return {
    whole: (said) => ({
      ...head,
      choices: [{ finish_reason: foreign(said), index: 0, message: message(said) }],
      object: 'chat.completion',
      usage,
      time_info: time,
    }),
    frames: (said) => [
      ': the router is waiting\n\n',
      frame([{ delta: { role: 'assistant' }, index: 0 }]),
      'event: sla\ndata: {"metrics":{"ttft_ms":31}}\n\n',
      ...deltas(said).map((delta) => frame([{ delta, index: 0 }])),
      frame([{ delta: {}, finish_reason: foreign(said), index: 0 }], { usage, time_info: time }),
    ],
    cut: [`data:${JSON.stringify({ error: 'Request failed during generation', error_type: 'generation' })}\n\n`],
  }
})()

/** Comments while it waits, the finish said again beside the usage, its own bill, the provider behind it. */
const openrouter: Voice = (() => {
  const head = {
    id: 'gen-r1',
    provider: 'Scripted',
    model: 'meta-llama/llama-3.3-70b-instruct',
    created: 1_760_000_000,
  }
  const usage = {
    prompt_tokens: 90,
    completion_tokens: 35,
    total_tokens: 125,
    cost: 0.0000456,
    is_byok: false,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    cost_details: { upstream_inference_cost: null },
    completion_tokens_details: { reasoning_tokens: 0 },
  }
  const frame = (delta: Json, reason: string | null, more: Json = {}) =>
    sse({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: reason, native_finish_reason: reason, logprobs: null }],
      ...more,
    })
  const comment = ': OPENROUTER PROCESSING\n\n'
  const nothing = { role: 'assistant', content: '' }
  return {
    whole: (said) => ({
      ...head,
      object: 'chat.completion',
      choices: [
        {
          logprobs: null,
          finish_reason: reasonOf(said),
          native_finish_reason: reasonOf(said),
          index: 0,
          message: message(said, { refusal: null, reasoning: null }),
        },
      ],
      usage,
    }),
    frames: (said) => [
      comment,
      comment,
      ...deltas(said).map((delta) => frame({ role: 'assistant', ...delta }, null)),
      comment,
      frame(nothing, reasonOf(said)),
      frame(nothing, reasonOf(said), { usage }),
      DONE,
    ],
    cut: [frame(nothing, 'error', { error: { code: 502, message: 'Provider disconnected' } }), DONE],
  }
})()

export const VOICES: Readonly<Record<string, Voice>> = { openai, groq, xai, huggingface, openrouter }
