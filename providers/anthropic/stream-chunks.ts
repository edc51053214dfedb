/** Chunks in OpenAI's dialect for a message of Claude's. The first one that goes out brings the role along. */
import type { ResponseContext } from '../provider.ts'
import { dataFrame } from '../sse-frames.ts'
import { withCost } from './response.ts'

const TAIL = ',"logprobs":null,"finish_reason":null}]}\n\n'

export interface ClaudeChunks {
  /** Of the message, as callers see it. */
  readonly id: string
  /** Has no effect once a chunk went out. */
  rename(id: string): void
  /** `delta` is JSON. */
  delta(delta: string): string
  finish(reason: string, native: string | null): string
  usage(usage: unknown, cost: string | null): Buffer
}

export function createClaudeChunks(context: ResponseContext): ClaudeChunks {
  let id = `chatcmpl-${context.callId}`
  let head = ''

  /** The first frame of all. */
  function open(): string {
    if (head !== '') return ''
    const model = JSON.stringify(context.request.model)
    head = `data: {"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${context.created},"model":${model},"choices":[{"index":0,"delta":`
    return `${head}{"role":"assistant","content":""}${TAIL}`
  }

  return {
    get id() {
      return id
    },
    rename(next) {
      if (head === '') id = next
    },
    delta: (delta) => `${open()}${head}${delta}${TAIL}`,
    finish(reason, native) {
      const own = native === null ? '' : `,"native_finish_reason":${JSON.stringify(native)}`
      return `${open()}${head}{},"logprobs":null,"finish_reason":"${reason}"${own}}]}\n\n`
    },
    usage(usage, cost) {
      const chunk = {
        id,
        object: 'chat.completion.chunk',
        created: context.created,
        model: context.request.model,
      }
      return dataFrame(`${JSON.stringify({ ...chunk, choices: [] }).slice(0, -1)},"usage":${withCost(usage, cost)}}`)
    },
  }
}
