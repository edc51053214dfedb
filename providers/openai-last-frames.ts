/** The frames made here that end a stream in OpenAI's dialect: the usage, and finish reasons where it was stopped. */
import { asObject, parseJson } from './json.ts'
import { changeMembers, objectMembers } from './json-members.ts'
import { type Chunk, withoutUsage } from './openai-chunk.ts'
import type { ShownModel } from './shown-model.ts'
import { dataFrame } from './sse-frames.ts'

/** The provider's own frame with what is shown for `usage`, and no choices; one in its likeness where there was none. */
export function usageChunk(payload: Buffer | null, last: Chunk | null, shown: string, model: ShownModel): Buffer {
  if (payload === null)
    return Buffer.from(JSON.stringify({ ...frameOf(last), choices: [] }).replace(/}$/, `,"usage":${shown}}`))
  const chunk = asObject(parseJson(payload)) as Chunk
  const changes = [...withoutUsage({ x_groq: chunk.x_groq }, payload), ...model.changes(chunk.model)]
  if (!Array.isArray(chunk.choices) || chunk.choices.length > 0) changes.push({ key: 'choices', value: '[]' })
  return changeMembers(payload, objectMembers(payload), [...changes, { key: 'usage', value: shown }])
}

/** The members every frame of a stream repeats. */
function frameOf(last: Chunk | null): Record<string, unknown> {
  const { id, created, model, system_fingerprint: fingerprint } = last ?? {}
  return {
    id: id ?? 'chatcmpl-tollgate',
    object: 'chat.completion.chunk',
    created: created ?? 0,
    model: model ?? '',
    system_fingerprint: fingerprint ?? null,
  }
}

export function stopFrames(last: Chunk | null, choices: number, finished: ReadonlyMap<number, string>): Buffer {
  const open = Array.from({ length: choices }, (_, index) => index).filter((index) => !finished.has(index))
  return Buffer.concat(
    open.map((index) =>
      dataFrame(
        JSON.stringify({ ...frameOf(last), choices: [{ index, delta: {}, logprobs: null, finish_reason: 'length' }] }),
      ),
    ),
  )
}
