import { describe, expect, test } from 'vitest'
import { unknownMedia } from '../../providers/media/media-size.ts'
import { PLAIN_MODEL } from '../../providers/openai-dialect.ts'
import type { OpenAiFacts } from '../../providers/openai-facts.ts'
import { readOpenAiStream } from '../../providers/openai-stream.ts'
import type { ProviderError, StreamReader } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { awkward, cutBefore, every, everyByte, type Split, seeded, whole } from '../support/splits.ts'

const HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini-2024-07-18"'
const frame = (rest: string, end = '\n\n') => `data: {${HEAD},${rest}}${end}`
const content = (text: string) =>
  frame(`"choices":[{"index":0,"delta":{"content":${JSON.stringify(text)}},"finish_reason":null}],"usage":null`)
const finish = (reason = 'stop', index = 0) =>
  frame(`"choices":[{"index":${index},"delta":{},"finish_reason":"${reason}"}],"usage":null`)
const COUNTS = '"prompt_tokens":11,"completion_tokens":5,"total_tokens":16'
const usage = (counts = COUNTS) => frame(`"choices":[],"usage":{${counts}}`)
const DONE = 'data: [DONE]\n\n'
const STATED = { ...NO_USAGE, input: 11, output: 5 }

const DIALECT: OpenAiFacts = {
  name: 'openai',
  label: 'OpenAI',
  baseUrl: 'https://api.openai.com/v1',
  keyVariables: [],
  domain: 'openai.com',
  model: () => PLAIN_MODEL,
  mediaTokens: () => unknownMedia,
  capMember: () => 'either',
}

interface Result {
  out: string
  done: boolean
  error: ProviderError | null
  reader: StreamReader
}

function read(stream: string, split: Split = whole, choices = 1, asked = 'gpt-4o-mini-2024-07-18'): Result {
  const reader = readOpenAiStream(DIALECT, choices, asked)
  const parts = split(Buffer.from(stream)).map((piece) => reader.push(piece))
  parts.push(reader.end())
  const out = Buffer.concat(parts.flatMap(({ bytes }) => (bytes === null ? [] : [bytes]))).toString()
  const last = parts.at(-1)
  return { out, done: last?.done ?? false, error: last?.error ?? null, reader }
}

const SPLITS: [string, Split][] = [
  ['whole', whole],
  ['by byte', everyByte],
  ['by seven bytes', every(7)],
  ['where readers go wrong', awkward],
  ['at random', seeded(7, 11)],
]

describe('a stream that is as it should be', () => {
  const shown = [content('Hé'), content('llo 😀'), finish()].join('')
  const stream = shown + usage() + DONE

  test.each(SPLITS)(
    'A stream that is as it should be is forwarded as received but for usage and [DONE], cut %s.',
    (_, split) => {
      const { out, done, error, reader } = read(stream, split)
      expect(out).toBe(shown)
      expect({ done, error }).toEqual({ done: true, error: null })
      expect(reader.reading).toEqual({
        usage: STATED,
        consistent: true,
        model: 'gpt-4o-mini-2024-07-18',
        serviceTier: null,
        cost: null,
        byModel: null,
      })
      expect(reader.finishReasons).toEqual(['stop'])
    },
  )

  test('A stream that is as it should be is the same at every single cut.', () => {
    for (let at = 1; at < stream.length; at += 1) {
      const { out, reader } = read(stream, cutBefore([at]))
      expect(out).toBe(shown)
      expect(reader.reading.usage).toEqual(STATED)
    }
  })

  test('A stream that is as it should be keeps members and numbers we know nothing of.', () => {
    const odd = frame(
      '"x":1.0,"seed":9007199254740993 , "obfuscation":"Qw","choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}]',
    )
    expect(read(odd + finish() + DONE).out).toBe(odd + finish())
  })

  test.each([
    '"usage"',
    '"usage":{"prompt_tokens":1}',
    '"finish_reason":"stop"',
    '{"error":{"message":"x"}}',
    'data: [DONE]\n\n',
    '\\"usage\\":',
  ])('A stream that is as it should be is not touched by text that says %s.', (text) => {
    const saying = [
      content('a'),
      content(text),
      frame(
        `"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":${JSON.stringify(text)}}}]},"finish_reason":null}]`,
      ),
      content('usage'),
    ]
    for (const [, split] of SPLITS) {
      const { out, done, reader } = read(saying.join('') + finish() + usage() + DONE, split)
      expect(out).toBe(saying.join('') + finish())
      expect(done).toBe(true)
      expect(reader.reading.usage).toEqual(STATED)
    }
  })

  test('A stream that is as it should be may hold one huge frame.', () => {
    const huge = content('é"\\'.repeat(300_000))
    expect(read(huge + finish() + usage() + DONE, every(4096)).out).toBe(huge + finish())
  })

  test('A stream that is as it should be has a finish reason for each choice.', () => {
    const { out, reader } = read(finish('stop', 1) + finish('length', 0) + usage() + DONE, whole, 2)
    expect(out).toBe(finish('stop', 1) + finish('length', 0))
    expect([...reader.finishReasons].sort()).toEqual(['length', 'stop'])
  })

  test('A stream that is as it should be tells the tier it was served at.', () => {
    const { reader } = read(frame('"service_tier":"priority","choices":[]') + finish() + usage() + DONE)
    expect(reader.reading.serviceTier).toBe('priority')
  })

  test('A stream that is as it should be may begin with a frame that names no model.', () => {
    const azure = 'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
    const { out, reader } = read(azure + content('a') + finish() + usage() + DONE)
    expect(out).toBe(azure + content('a') + finish())
    expect(reader.reading.model).toBe('gpt-4o-mini-2024-07-18')
  })

  test('A stream that is as it should be may say more after its usage.', () => {
    const extra = frame('"choices":[],"moderation":{"flagged":false}')
    const { out, reader } = read(content('a') + finish() + usage() + extra + DONE)
    expect(out).toBe(content('a') + finish() + extra)
    expect(reader.reading.usage).toEqual(STATED)
  })
})

describe('a stream in another form leaves in the canonical one', () => {
  const canonical = content('é') + finish()
  test.each<[string, string]>([
    ['CRLF', (content('é') + finish() + usage() + DONE).replaceAll('\n', '\r\n')],
    ['no space after data:', (content('é') + finish() + usage() + DONE).replaceAll('data: ', 'data:')],
    ['two spaces after data:', (content('é') + finish() + usage() + DONE).replaceAll('data: ', 'data:  ')],
    ['comments', `: PROCESSING\n\n: PROCESSING\n\n${content('é')}: ping\n\n${finish()}${usage()}${DONE}`],
    ['named events', (content('é') + finish() + usage() + DONE).replaceAll('data: ', 'event: message\ndata: ')],
    ['ids after the data', (content('é') + finish() + usage() + DONE).replaceAll('\n\n', '\nid: 7\n\n')],
    ['empty lines between', `\n\n\n${content('é')}\n\n${finish()}\n${usage()}${DONE}`],
    ['a [DONE] with spaces', `${content('é') + finish() + usage()}data: [DONE] \n\n`],
  ])('A stream in another form leaves in the canonical one: %s.', (_, stream) => {
    for (const [, split] of SPLITS) {
      const { out, done, reader } = read(stream, split)
      expect(out).toBe(canonical)
      expect(done).toBe(true)
      expect(reader.reading.usage).toEqual(STATED)
      expect(reader.frames).toBe(3)
    }
  })

  test('Data over several lines leave a stream in the canonical form.', () => {
    const { out, reader } = read(
      `data: {${HEAD},\ndata: "choices":[{"index":0,"delta":{"content":"a b"},"finish_reason":null}]}\n\n`,
    )
    expect(out).toBe(`data: {${HEAD}, "choices":[{"index":0,"delta":{"content":"a b"},"finish_reason":null}]}\n\n`)
    expect(reader.outputText()).toBe('a b')
  })
})

describe('usage', () => {
  test('Usage stated again replaces what was stated before.', () => {
    const { out, reader } = read(
      content('a') + usage('"prompt_tokens":1,"completion_tokens":1') + finish() + usage() + DONE,
    )
    expect(out).toBe(content('a') + finish())
    expect(reader.reading.usage).toEqual(STATED)
  })

  test('Usage on a frame with choices is taken out of it and nothing else.', () => {
    const last = (counts: string) =>
      frame(`"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]${counts},"x":1.0`)
    const { out, reader } = read(content('a') + last(`, "usage": {${COUNTS}}`) + DONE)
    expect(out).toBe(content('a') + last(''))
    expect(reader.reading.usage).toEqual(STATED)
    expect(JSON.parse(reader.usageFrame('0.5', {}).toString().slice(6))).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, cost: 0.5 },
      x: 1,
    })
  })

  test('Usage inside x_groq is taken out of it and nothing else, and is read where it stands alone.', () => {
    const last = (nested: string) =>
      frame(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r"${nested}}`)
    const { out, reader } = read(content('a') + last(`,"usage":{${COUNTS}}`) + DONE)
    expect(out).toBe(content('a') + last(''))
    expect(reader.reading.usage).toEqual(STATED)
    expect(reader.usageFrame('0.5', {}).toString()).toBe(
      frame(`"choices":[],"x_groq":{"id":"r"},"usage":{${COUNTS},"cost":0.5}`),
    )
  })

  test('Usage beside an empty delta after the finish takes the frame with it.', () => {
    const beside = frame(
      `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":{${COUNTS}}`,
    )
    expect(read(content('a') + finish() + beside + DONE).out).toBe(content('a') + finish())
  })

  test.each([
    ['a text', '"usage":"none"'],
    ['negative', '"usage":{"prompt_tokens":-1,"completion_tokens":5}'],
    ['without output', '"usage":{"prompt_tokens":5}'],
  ])("Usage that can't be believed is missing, and not shown: %s.", (_, stated) => {
    const { out, reader } = read(content('a') + finish() + frame(`"choices":[],${stated}`) + DONE)
    expect(out).toBe(content('a') + finish())
    expect(reader.reading.usage).toBeNull()
    expect(reader.outputText()).toBe('a')
  })

  test('Usage that does not add up is marked.', () => {
    const { reader } = read(
      content('a') + finish() + usage('"prompt_tokens":35,"completion_tokens":12,"total_tokens":109') + DONE,
    )
    expect(reader.reading).toMatchObject({ usage: { input: 35, output: 12 }, consistent: false })
  })

  test("Usage is shown in the provider's own frame, with our cost as it is written.", () => {
    const own = frame(
      `"service_tier":"default","choices":[], "usage" : {${COUNTS}, "x":1.0,"cost":0.9},"system_fingerprint":"fp"`,
    )
    const { reader } = read(content('a') + finish() + own + DONE)
    expect(reader.usageFrame('0.00000123', null).toString()).toBe(own.replace('"cost":0.9', '"cost":0.00000123'))
  })

  test('Usage is shown in the likeness of the stream where it stated none.', () => {
    const { reader } = read(
      frame('"system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]') +
        finish() +
        DONE,
    )
    const stand = {
      prompt_tokens: 3,
      completion_tokens: 1,
      total_tokens: 4,
      completion_tokens_details: { reasoning_tokens: 0 },
    }
    expect(JSON.parse(reader.usageFrame('0.000001', stand).toString().slice(6))).toEqual({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1700000000,
      model: 'gpt-4o-mini-2024-07-18',
      system_fingerprint: null,
      choices: [],
      usage: { ...stand, cost: 0.000001 },
    })
  })
})

describe('the end of a stream', () => {
  test('The end of a stream is said by [DONE], and what follows is not shown.', () => {
    const { out, done, reader } = read(content('a') + finish() + DONE + content('b') + usage())
    expect(out).toBe(content('a') + finish())
    expect(done).toBe(true)
    expect(reader.reading.usage).toBeNull()
  })

  test('The end of a stream may come without [DONE].', () => {
    const { out, done, reader } = read(content('a') + finish() + usage())
    expect(out).toBe(content('a') + finish())
    expect(done).toBe(false)
    expect(reader.reading.usage).toEqual(STATED)
  })

  test('The end of a stream may come before the last frame has ended.', () => {
    for (const stream of [
      content('a') + finish() + usage().trimEnd(),
      content('a') + finish() + usage().slice(0, -1),
    ]) {
      expect(read(stream).reader.reading.usage).toEqual(STATED)
    }
    expect(read(content('a') + finish().trimEnd()).out).toBe(content('a') + finish())
  })

  test('The end of a stream in the middle of a frame shows nothing of it.', () => {
    expect(read(content('a') + content('bcd').slice(0, -20)).out).toBe(content('a'))
  })

  test('A second finish reason that says nothing new is dropped.', () => {
    const again = frame('"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]')
    const { out, reader } = read(content('a') + finish() + again + usage() + DONE)
    expect(out).toBe(content('a') + finish())
    expect(reader.finishReasons).toEqual(['stop'])
  })

  test('The end of a stream is made for choices that have none.', () => {
    const { reader } = read(content('a') + finish('stop', 1), whole, 3)
    const frames = reader
      .stopFrames()
      .toString()
      .split('\n\n')
      .filter(Boolean)
      .map((text) => JSON.parse(text.slice(6)))
    expect(frames).toEqual(
      [0, 2].map((index) => ({
        id: 'chatcmpl-1',
        object: 'chat.completion.chunk',
        created: 1700000000,
        model: 'gpt-4o-mini-2024-07-18',
        system_fingerprint: null,
        choices: [{ index, delta: {}, logprobs: null, finish_reason: 'length' }],
      })),
    )
  })
})

describe('a stream that fails', () => {
  const FAILURE = '{"error":{"message":"org-Abc123Def456 ran out","type":"server_error","code":null}}'
  test.each([
    ['in a frame', `data: ${FAILURE}\n\n`],
    ['in a named event', `event: error\ndata: ${FAILURE}\n\n`],
    ['in a chunk', frame('"choices":[],"error":{"code":502,"message":"bad gateway"}')],
  ])('A stream that fails says so %s, and nothing after it is shown.', (_, failure) => {
    for (const [, split] of SPLITS) {
      const { out, done, error } = read(content('a') + failure + content('b') + DONE, split)
      expect(out).toBe(content('a'))
      expect(done).toBe(false)
      expect(error).toMatchObject({ kind: 'failed', message: 'OpenAI failed to answer. Try again shortly.' })
    }
  })

  test('A stream that fails may state its usage along with the error.', () => {
    const { error, reader } = read(content('a') + frame(`"choices":[],"error":{"code":429},"usage":{${COUNTS}}`))
    expect(error).toMatchObject({ kind: 'rate_limit', status: 429 })
    expect(reader.reading.usage).toEqual(STATED)
  })

  test("A stream that fails tells the provider's own code from its account.", () => {
    const { error } = read(
      'data: {"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}\n\n',
    )
    expect(error).toMatchObject({
      kind: 'quota',
      message: expect.stringMatching(/^OpenAI did not accept this gateway/),
    })
  })

  test('A stream that fails is not thrown off by frames that are no chunks.', () => {
    const junk = 'data: {"choices":[null,1,{"index":0,"delta":"x"}]}\n\n'
    const { reader } = read(`data: null\n\ndata: {broken\n\ndata: 12\n\n${junk}${content('a')}${finish()}`)
    expect(reader.outputText()).toBe('a')
    expect(reader.finishReasons).toEqual(['stop'])
  })
})

describe('what a stream has shown', () => {
  test('What a stream has shown is all of it: text, refusals, reasoning, names and arguments of tools, over all choices.', () => {
    const deltas = [
      '{"role":"assistant","content":""}',
      '{"reasoning_content":"think "}',
      '{"reasoning":"hard "}',
      '{"content":"né "}',
      '{"refusal":"no "}',
      '{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"add","arguments":""}}]}',
      '{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\":"}},{"index":1,"function":{"name":"mul","arguments":"{}"}}]}',
      '{"function_call":{"name":"old","arguments":"[]"}}',
      '{"tool_calls":[{"index":2,"type":"custom","custom":{"name":"run","input":" free"}}]}',
    ]
    const stream = deltas
      .map((delta, i) => frame(`"choices":[{"index":${i % 2},"delta":${delta},"finish_reason":null}]`))
      .join('')
    for (const [, split] of SPLITS) {
      expect(read(stream + finish(), split, 2).reader.outputText()).toBe('think hard né no add{"a":mul{}old[]run free')
    }
  })

  test.each([
    { name: 'a text, as the oldest servers say it', choice: '"delta":{},"text":"abc"', text: 'abc' },
    { name: 'a message in place of a delta', choice: '"message":{"content":"abc"}', text: 'abc' },
    {
      name: 'no message beside the delta it repeats',
      choice: '"delta":{"content":"c"},"message":{"content":"abc"}',
      text: 'c',
    },
  ])('What a stream has shown is $name', ({ choice, text }) => {
    const { reader } = read(frame(`"choices":[{"index":0,${choice},"finish_reason":null}]`) + finish(), everyByte)
    expect([reader.hasContent, reader.outputText()]).toEqual([true, text])
  })

  test('What a stream has shown need not be kept once usage is stated.', () => {
    expect(read(content('a') + finish() + usage() + DONE, everyByte).reader.outputText()).toBe('')
  })
})

describe('a finish reason', () => {
  test.each([
    ['eos_token', 'stop'],
    ['stop_sequence', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['nobody knows', 'stop'],
    ['tool_calls', 'tool_calls'],
  ])('The finish reason %s is %s to the caller.', (theirs, ours) => {
    const { out, reader } = read(content('a') + finish(theirs) + DONE)
    expect(out).toBe(content('a') + finish(ours))
    expect(reader.finishReasons).toEqual([ours])
  })

  test('A finish reason that stands for an error is read as an error.', () => {
    const { out, error } = read(content('a') + frame('"choices":[{"index":0,"delta":{},"finish_reason":"error"}]'))
    expect(out).toBe(content('a'))
    expect(error?.kind).toBe('failed')
  })
})
