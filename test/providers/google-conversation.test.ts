/**
 * Random conversations, translated out and back: nothing is lost that Gemini has a word for. And random answers, echoed as clients echo
 * them: what has to come back to Gemini does.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'
import type { ResponseContext } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { providerCall } from '../support/provider-call.ts'

type Json = Record<string, unknown>

const MODEL = 'gemini-3-flash-preview'

function contentsOf(messages: readonly unknown[]): { system: Json[]; contents: { role: string; parts: Json[] }[] } {
  const call = providerCall(JSON.stringify({ model: 'm', messages }), { model: MODEL, apiKey: null })
  expect(google.chat.refuses(call.request.json, MODEL)).toEqual([])
  const { body } = google.chat.prepare(call)
  const json = JSON.parse(body.toString()) as {
    systemInstruction?: { parts: Json[] }
    contents: { role: string; parts: Json[] }[]
  }
  return { system: json.systemInstruction?.parts ?? [], contents: json.contents }
}

const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((value) => value.toWellFormed())
const name = fc.stringMatching(/^[a-z][a-z_]{0,8}$/)
const args = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,5}$/),
  fc.oneof(
    fc.integer(),
    fc.string().map((value) => value.toWellFormed()),
    fc.boolean(),
    fc.constant(null),
  ),
  { maxKeys: 3 },
)

/** A turn as a caller writes it, and what of it Gemini is to read, in order. */
interface Turn {
  messages: Json[]
  said: string[]
}

let calls = 0
const userTurn = fc.oneof(
  text.map((said): Turn => ({ messages: [{ role: 'user', content: said }], said: [`user ${said}`] })),
  fc.tuple(text, fc.base64String({ minLength: 4 })).map(
    ([said, data]): Turn => ({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: said },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } },
          ],
        },
      ],
      said: [`user ${said}`, `image ${data}`],
    }),
  ),
)
const systemTurn = text.map((said): Turn => ({ messages: [{ role: 'system', content: said }], said: [`user ${said}`] }))
const assistantTurn = fc
  .record({
    thought: fc.option(text, { nil: null }),
    said: fc.option(text, { nil: null }),
    calls: fc.array(fc.tuple(name, args, text), { maxLength: 3 }),
    reversed: fc.boolean(),
  })
  .filter((turn) => turn.said !== null || turn.calls.length > 0)
  .map(({ thought, said, calls: made, reversed }): Turn => {
    const ids = made.map(() => `call_${calls++}`)
    const results = made.map(([, , result], index) => ({ role: 'tool', tool_call_id: ids[index], content: result }))
    return {
      messages: [
        {
          role: 'assistant',
          content: said,
          ...(thought === null ? {} : { reasoning_content: thought }),
          ...(made.length === 0
            ? {}
            : {
                tool_calls: made.map(([called, given], index) => ({
                  id: ids[index],
                  type: 'function',
                  function: { name: called, arguments: JSON.stringify(given) },
                })),
              }),
        },
        ...(reversed ? results.reverse() : results),
      ],
      said: [
        ...(thought === null ? [] : [`thought ${thought}`]),
        ...(said === null ? [] : [`model ${said}`]),
        ...made.map(([called, given], index) => `call ${called} ${JSON.stringify(given)} ${ids[index]}`),
        ...made.map(([called, , result], index) => `result ${called} ${JSON.stringify(result)} ${ids[index]}`),
      ],
    }
  })

function heard({ contents }: ReturnType<typeof contentsOf>): string[] {
  return contents.flatMap(({ role, parts }) => parts.map((part) => event(role, part)))
}

function event(role: string, part: Json): string {
  const { functionCall: call, functionResponse: result, inlineData: media } = part as Record<string, Json | undefined>
  if (call !== undefined) return `call ${call.name} ${JSON.stringify(call.args)} ${call.id}`
  if (result !== undefined)
    return `result ${result.name} ${JSON.stringify((result.response as Json).result)} ${result.id}`
  if (media !== undefined) return `image ${media.data}`
  return `${part.thought === true ? 'thought' : role} ${part.text}`
}

describe('a random conversation', () => {
  it('A random conversation arrives with every word, call, result and picture, in order.', () => {
    const turns = fc.array(fc.oneof(userTurn, systemTurn, assistantTurn), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(fc.array(text, { maxLength: 2 }), text, turns, (system, opening, rest) => {
        const messages = [
          ...system.map((said) => ({ role: 'system', content: said })),
          { role: 'user', content: opening },
          ...rest.flatMap((turn) => turn.messages),
        ]
        const sent = contentsOf(messages)
        expect(sent.system.map((part) => part.text)).toEqual(system)
        expect(heard(sent)).toEqual([`user ${opening}`, ...rest.flatMap((turn) => turn.said)])
        for (const [index, { role, parts }] of sent.contents.entries()) {
          const isResults = parts.some((part) => 'functionResponse' in part)
          expect(parts.length).toBeGreaterThan(0)
          expect(isResults ? parts.every((part) => 'functionResponse' in part) : true).toBe(true)
          if (isResults) expect(sent.contents[index - 1]?.role).toBe('model')
          if (role === 'model') expect(sent.contents[index - 1]?.role).toBe('user')
        }
      }),
      { numRuns: 200 },
    )
  })
})

const signature = fc.oneof(
  fc.base64String({ minLength: 4, maxLength: 400 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((value) => value.toWellFormed()),
)
const madeCall = fc.tuple(name, args, fc.option(signature, { nil: null })).map(
  ([called, given, sign]): Json => ({
    functionCall: { name: called, args: given },
    ...(sign === null ? {} : { thoughtSignature: sign }),
  }),
)

const CONTEXT: ResponseContext = {
  request: parseRequest(Buffer.from('{"model":"m","messages":[{"role":"user","content":"x"}]}')),
  model: MODEL,
  choices: 1,
  callId: '01234567-89ab-4cde-8f01-23456789abcd',
  created: 1,
}

function answered(parts: Json[]): Json {
  const body = {
    candidates: [{ content: { parts, role: 'model' }, finishReason: 'STOP' }],
    usageMetadata: { promptTokenCount: 1 },
  }
  const answer = google.chat.readResponse(Buffer.from(JSON.stringify(body)), CONTEXT)
  if (answer === null || 'kind' in answer) throw new Error('no answer')
  return JSON.parse(answer.body('0', {}).toString()).choices[0].message as Json
}

/** The message a client puts together from the deltas. */
function streamed(parts: Json[]): Json {
  const reader = google.chat.readStream(CONTEXT)
  const out: string[] = []
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1 ? { finishReason: 'STOP' } : {}
    const chunk = { candidates: [{ content: { parts: [part] }, ...last }], usageMetadata: { promptTokenCount: 1 } }
    out.push(reader.push(Buffer.from(`data: ${JSON.stringify(chunk)}\r\n\r\n`)).bytes?.toString() ?? '')
  }
  out.push(reader.end().bytes?.toString() ?? '')
  const message: Json = { role: 'assistant', content: null }
  for (const frame of out
    .join('')
    .split('\n\n')
    .filter((one) => one !== '')) {
    const delta = JSON.parse(frame.slice(6)).choices[0].delta as Json
    for (const key of ['content', 'reasoning_content']) {
      if (typeof delta[key] === 'string') message[key] = `${(message[key] as string | undefined) ?? ''}${delta[key]}`
    }
    if (Array.isArray(delta.tool_calls))
      message.tool_calls = [...((message.tool_calls as Json[] | undefined) ?? []), ...delta.tool_calls]
    if (delta.extra_content !== undefined) message.extra_content = delta.extra_content
  }
  return message
}

const pick = (message: Json, ...keys: string[]): Json => Object.fromEntries(keys.map((key) => [key, message[key]]))

/** Which members of a message clients send back. */
const CLIENTS: Readonly<Record<string, (message: Json) => Json>> = {
  'with all members': (message) => message,
  'with what OpenAI documents': (message) => ({
    ...pick(message, 'role', 'content'),
    tool_calls: (message.tool_calls as Json[]).map((call) => pick(call, 'id', 'type', 'function')),
  }),
}

describe('a random answer comes back as Gemini gave it', () => {
  it.each(Object.keys(CLIENTS))(
    'A random response comes back as Gemini gave it from a client that echoes it %s.',
    (client) => {
      const parts = fc.record({
        thought: fc.option(text, { nil: null }),
        said: fc.option(text, { nil: null }),
        calls: fc.array(madeCall, { minLength: 1, maxLength: 3 }),
      })
      fc.assert(
        fc.property(parts, fc.constantFrom(answered, streamed), ({ thought, said, calls: made }, receive) => {
          const given: Json[] = [
            ...(thought === null ? [] : [{ text: thought, thought: true }]),
            ...(said === null ? [] : [{ text: said }]),
            ...made,
          ]
          const message = CLIENTS[client]!(receive(given))
          const results = (message.tool_calls as Json[]).map(({ id }) => ({
            role: 'tool',
            tool_call_id: id,
            content: 'ok',
          }))
          const { contents } = contentsOf([{ role: 'user', content: 'x' }, message, ...results])
          const [, back, answers] = contents
          const isFull = client === 'with all members'
          const expected = isFull ? given : given.filter((part) => part.thought !== true)
          const isSigned = made.some((part) => part.thoughtSignature !== undefined)
          const firstCall = expected.find((part) => 'functionCall' in part)
          expect(back?.parts.map(withoutId)).toEqual(
            expected.map((part) =>
              part === firstCall && !isSigned
                ? { ...part, thoughtSignature: 'skip_thought_signature_validator' }
                : part,
            ),
          )
          const ids = back?.parts.flatMap((part) => (part.functionCall as Json | undefined)?.id ?? [])
          expect(answers?.parts.map((part) => (part.functionResponse as Json).id)).toEqual(ids)
        }),
        { numRuns: 150 },
      )
    },
  )
})

function withoutId(part: Json): Json {
  const call = part.functionCall as Json | undefined
  if (call === undefined) return part
  const { id: _, ...rest } = call
  return { ...part, functionCall: rest }
}
