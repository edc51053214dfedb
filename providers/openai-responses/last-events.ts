/** The events made here that end a response: its usage and its cost, and what was open where it was stopped. */
import type { Change } from '../json-members.ts'
import { objectMembers } from '../json-members.ts'
import { brokenOff } from './items.ts'
import type { ResponseProgress } from './progress.ts'
import { eventFrame, withResponse } from './renamed.ts'
import { shownResponseUsage } from './shown-usage.ts'

type Json = Readonly<Record<string, unknown>>

export interface Ended {
  cost: string | null
  usage: unknown
  /** What is shown is `usage`, whatever was stated. */
  replaces: boolean
}

/** The provider's own event with what is shown for `usage`; one in its likeness where there was none. */
export function endEvent(progress: ResponseProgress, asked: string, { cost, usage, replaces }: Ended): Buffer {
  if (progress.ending === null) return madeEnd(progress, asked, shownResponseUsage(null, cost, usage))
  return withResponse(progress.ending, (response) => {
    const own = objectMembers(response).findLast(({ key }) => key === 'usage')
    const stated = own === undefined || replaces ? null : response.subarray(own.valueStart, own.end)
    return [
      { key: 'usage', value: shownResponseUsage(stated, cost, usage).toString('utf8') },
      { key: 'model', value: JSON.stringify(asked) },
    ] satisfies Change[]
  })
}

function madeEnd(progress: ResponseProgress, asked: string, usage: Buffer): Buffer {
  const isStopped = progress.finishReasons.includes('max_output_tokens')
  const status = isStopped ? 'incomplete' : 'completed'
  const response = {
    ...(progress.begun ?? { object: 'response', error: null, metadata: {} }),
    model: asked,
    status,
    incomplete_details: isStopped ? { reason: 'max_output_tokens' } : null,
    output: progress.items.output(),
    usage: null,
  }
  const payload = { type: `response.${status}`, sequence_number: next(progress), response }
  return withResponse(Buffer.from(JSON.stringify(payload)), () => [{ key: 'usage', value: usage.toString('utf8') }])
}

/** Closes what is open. */
export function stopEvents(progress: ResponseProgress): Buffer {
  const frames: Buffer[] = []
  const send = (type: string, members: Json) =>
    frames.push(eventFrame(type, JSON.stringify({ type, sequence_number: next(progress), ...members })))
  for (const { index, item, texts } of progress.items.open()) {
    const place = { item_id: item.id, output_index: index }
    const broken = brokenOff(item, texts)
    if (item.type === 'message')
      for (const [at, text] of texts.entries()) {
        const part = { type: 'output_text', text, annotations: [], logprobs: [] }
        send('response.output_text.done', { ...place, content_index: at, text, logprobs: [] })
        send('response.content_part.done', { ...place, content_index: at, part })
      }
    send('response.output_item.done', { output_index: index, item: broken })
    progress.items.end(index, broken)
  }
  return Buffer.concat(frames)
}

function next(progress: ResponseProgress): number {
  progress.sequence += 1
  return progress.sequence
}
