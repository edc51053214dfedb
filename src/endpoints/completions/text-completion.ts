/** Turns a chat completion and its chunks into text completions: the text replaces the message, all other members stay. */
import { asObject, parseJson } from '../../../providers/json.ts'
import { objectMembers } from '../../../providers/json-members.ts'
import { shownUsage } from '../../../providers/shown-usage.ts'
import type { ReadContext } from '../../call/endpoint.ts'
import type { Words } from '../by-chat.ts'
import { translateChunks } from '../chunk-translation.ts'

type Json = Readonly<Record<string, unknown>>

/** @param asked the name of the model that the caller asked for. */
export function textWords(asked: string): Words {
  return {
    whole: (chat, context) => ({
      ...chat,
      body(cost, usage, replaces = false) {
        const body = chat.body(cost, usage, replaces)
        const completion = completionOf(asObject(parseJson(body)) ?? {}, asked, context)
        // Numbers keep their exact digits.
        const own = objectMembers(body).find(({ key }) => key === 'usage')
        if (own === undefined) return Buffer.from(completion)
        return withUsage(completion, body.toString('utf8', own.valueStart, own.end))
      },
    }),
    stream: (chat, context) =>
      translateChunks(chat, {
        read: (chunk) => (choicesIn(chunk).some(tells) ? `data: ${completionOf(chunk, asked, context)}\n\n` : ''),
        end(cost, usage) {
          const shown = shownUsage(Buffer.from(JSON.stringify(usage)), null, cost).toString('utf8')
          return `data: ${withUsage(completionOf({}, asked, context), shown).toString('utf8')}\n\n`
        },
      }),
  }
}

function choicesIn({ choices }: Json): readonly Json[] {
  return Array.isArray(choices) ? choices.map((choice: unknown) => asObject(choice) ?? {}) : []
}

/** A chunk with only a role or a thought has no text. */
function tells(choice: Json): boolean {
  return textOf(choice) !== '' || (choice.finish_reason ?? null) !== null
}

function textOf({ message, delta }: Json): string {
  const { content, refusal } = asObject(delta) ?? asObject(message) ?? {}
  if (typeof content === 'string' && content !== '') return content
  return typeof refusal === 'string' ? refusal : ''
}

function completionOf(chat: Json, asked: string, { callId, created }: ReadContext): string {
  const choices = choicesIn(chat).map((choice) => ({
    text: textOf(choice),
    index: choice.index ?? 0,
    logprobs: null,
    finish_reason: choice.finish_reason ?? null,
  }))
  const id = `cmpl-${callId.replaceAll('-', '')}`
  return JSON.stringify({ id, object: 'text_completion', created, model: asked, choices })
}

function withUsage(completion: string, usage: string): Buffer {
  return Buffer.from(`${completion.slice(0, -1)},"usage":${usage}}`)
}
