/**
 * Long media are cut out of a request before it is parsed. Nothing else changes by that: what they are held at, what a provider is sent
 * and what is refused is what it would be had the body been parsed whole.
 */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import type { Endpoint, OutgoingRequest } from '../../src/call/endpoint.ts'
import { loadConfig } from '../../src/config/load.ts'
import { chatCompletions } from '../../src/endpoints/chat-completions/chat-completions.ts'
import { messages } from '../../src/endpoints/messages/messages.ts'
import { responses } from '../../src/endpoints/responses/responses.ts'
import { parseLongJson } from '../../src/http/cut-json.ts'
import { type JsonObject, parseJsonObject, scanBody } from '../../src/http/json-object.ts'
import { createRouter } from '../../src/routing/route.ts'
import { join, jpeg, mp3, pages, pdf, png, pngChunk, segment, wav } from '../providers/media/build.ts'
import { configFor, modelOn } from '../support/tollgate.ts'

const UPSTREAM = 'http://127.0.0.1:1/v1'
const MODELS: Readonly<Record<string, Record<string, unknown>>> = {
  openai: { model: 'openai/gpt-4o-mini' },
  hearing: { model: 'openai/gpt-4o-audio-preview' },
  newest: { model: 'openai/gpt-9' },
  claude: { model: 'anthropic/claude-haiku-4-5' },
  flash: { model: 'gemini/gemini-2.5-flash' },
  compatible: { model: 'gemini/gemini-2.5-flash', api_base: 'http://127.0.0.1:1/v1beta/openai' },
  grok: { model: 'xai/grok-3' },
  llama: { model: 'groq/llama-3.3-70b-versatile' },
  face: { model: 'huggingface/meta-llama/Llama-3.3-70B-Instruct' },
  routed: { model: 'openrouter/openai/gpt-4o-mini' },
  'routed-claude': { model: 'openrouter/anthropic/claude-haiku-4.5' },
  'routed-gemini': { model: 'openrouter/google/gemini-2.5-flash' },
  'routed-grok': { model: 'openrouter/x-ai/grok-4' },
  'routed-llama': { model: 'openrouter/meta-llama/llama-3.3-70b-instruct' },
  dropping: { model: 'openai/gpt-4o-mini', drop_params: true },
  everything: { model: 'openai/gpt-4o-mini', allowed_openai_params: ['*'] },
}
const { config } = loadConfig(
  configFor(UPSTREAM, { models: Object.entries(MODELS).map(([name, params]) => modelOn(UPSTREAM, name, params)) }),
  'config.yaml',
  { SCRIPTED_API_KEY: 'sk-test' },
  { embedded: true, providers: PROVIDERS },
)
const router = createRouter(config!)

const LONG = 70_000
const noise = randomBytes(LONG)
const BYTES = {
  png: png(1_024, 700, { between: [pngChunk('tEXt', noise)] }),
  jpeg: jpeg(640, 480, { before: [segment(0xe1, noise.subarray(0, 60_000))] }),
  'broken png': join([png(10, 10).subarray(0, 40), noise]),
  pdf: pdf([...pages(7), [90, `(${'x'.repeat(LONG)})`]]),
  'no pdf': noise,
  wav: wav(3),
  mp3: mp3(400),
}
const url = (type: string, bytes: Buffer) => `data:${type};base64,${bytes.toString('base64')}`
const image = (data: string) => ({ type: 'image_url', image_url: { url: data } })
const file = (data: string) => ({ type: 'file', file: { filename: 'a.pdf', file_data: data } })
const sound = (data: string, format = 'wav') => ({ type: 'input_audio', input_audio: { data, format } })
const body = (parts: readonly unknown[], more: object = {}) =>
  JSON.stringify({ model: 'm', messages: [{ role: 'user', content: parts }], max_tokens: 9, ...more })

function scanned(text: string, piece: number) {
  const bytes = Buffer.from(text)
  const scan = scanBody(100_000)
  for (let at = 0; at < bytes.length; at += piece) scan.push(bytes.subarray(at, at + piece))
  return { bytes, scan }
}

const parseLong = (
  text: string,
  piece = 16_384,
  { mediaOf = null }: Pick<Endpoint, 'mediaOf'> | { mediaOf?: null } = chatCompletions,
) => {
  const { bytes, scan } = scanned(text, piece)
  return parseLongJson(bytes, scan, mediaOf)
}

/** What is held for it, what it is said to weigh, and the bytes upstream; or why it is refused. */
function use(
  object: JsonObject,
  model: string,
  stream = false,
  endpoint: Endpoint = chatCompletions,
  asSent = object.text,
) {
  const { deployment } = router.route(model)!.candidates[0]!
  try {
    const read = endpoint.read(object, { text: asSent, headers: {} })
    const { estimate, requestBytes, prepare } = read.termsOn(deployment)
    const {
      headers,
      path,
      body: sent,
    } = prepare({
      apiKey: 'k',
      organization: null,
      extraHeaders: {},
      outputCap: 7,
      maxPrice: null,
      asksUsage: stream,
    })
    return { estimate, requestBytes, path, headers, sent: textOf(sent) }
  } catch (error) {
    return `${error}`
  }
}

const textOf = (sent: OutgoingRequest['body']) => Buffer.concat(sent).toString()

const CASES = [
  { name: 'a PNG', parts: [image(url('image/png', BYTES.png))] },
  { name: 'a JPEG of which one letter more would be no multiple', parts: [image(url('image/jpg', BYTES.jpeg))] },
  { name: 'a PNG that breaks off', parts: [image(url('image/png', BYTES['broken png']))] },
  { name: 'an image whose type is another', parts: [image(url('image/webp', BYTES.png))] },
  { name: 'a URL without an object', parts: [{ type: 'image_url', image_url: url('image/png', BYTES.png) }] },
  {
    name: 'two images and text',
    parts: [image(url('image/png', BYTES.png)), { type: 'text', text: 'x' }, image(url('image/gif', noise))],
  },
  { name: 'the same image twice', parts: [image(url('image/png', BYTES.png)), image(url('image/png', BYTES.png))] },
  { name: 'a PDF', parts: [file(url('application/pdf', BYTES.pdf))] },
  { name: 'a PDF that is none', parts: [file(url('application/pdf', BYTES['no pdf']))] },
  { name: 'an image as a file', parts: [file(url('image/png', BYTES.png))] },
  { name: 'a recording', parts: [sound(BYTES.wav.toString('base64'))] },
  { name: 'a recording as a URL', parts: [sound(url('audio/wav', BYTES.wav))] },
  { name: 'another recording', parts: [sound(BYTES.mp3.toString('base64'), 'mp3')] },
  { name: 'a recording of noise', parts: [sound(noise.toString('base64'))] },
]

describe.for(CASES)('$name', ({ parts }) => {
  test('A medium is cut out of the body, and every provider gets it unchanged.', async () => {
    const text = body(parts, { messages: [{ role: 'user', name: 'bob', content: parts }] })
    const long = await parseLong(text)
    expect(long.cuts).toBeDefined()
    expect(long.text.length).toBeLessThan(20_000)
    const whole = parseJsonObject(Buffer.from(text))
    for (const model of Object.keys(MODELS)) expect(use(long, model), model).toEqual(use(whole, model))
  })
})

const block = (type: string, mediaType: string, bytes: Buffer) => ({
  type,
  source: { type: 'base64', media_type: mediaType, data: bytes.toString('base64') },
})
const asked = (...content: unknown[]) => ({ max_tokens: 9, messages: [{ role: 'user', content }] })
const given = (...input: unknown[]) => ({ max_output_tokens: 99, input })
const said = (...content: unknown[]) => ({ type: 'message', role: 'user', content })
const DIALECTS = [
  {
    name: 'an image in a message',
    endpoint: messages,
    servedBy: 3,
    body: asked(block('image', 'image/png', BYTES.png)),
  },
  {
    name: 'a PDF in a message',
    endpoint: messages,
    servedBy: 3,
    body: asked(block('document', 'application/pdf', BYTES.pdf)),
  },
  {
    name: 'an image that a tool returned, beside one of another type, in a message',
    endpoint: messages,
    servedBy: 3,
    body: asked(
      { type: 'tool_result', tool_use_id: 't', content: [block('image', 'image/jpeg', BYTES.jpeg)] },
      block('image', 'image/webp', BYTES.png),
      { type: 'text', text: 'x' },
    ),
  },
  {
    name: 'an image in a response’s request',
    endpoint: responses,
    servedBy: 3,
    body: given(said({ type: 'input_image', image_url: url('image/png', BYTES.png), detail: 'low' })),
  },
  {
    name: 'a PDF in a response’s request, and an image that a tool returned',
    endpoint: responses,
    servedBy: 3,
    body: given(
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      {
        type: 'function_call_output',
        call_id: 'c',
        output: [{ type: 'input_image', image_url: url('image/gif', noise) }],
      },
      said({ type: 'input_file', filename: 'a.pdf', file_data: url('application/pdf', BYTES.pdf) }),
    ),
  },
  {
    name: 'a recording in a response’s request',
    endpoint: responses,
    servedBy: 3,
    body: given(said({ type: 'input_audio', input_audio: { data: BYTES.wav.toString('base64'), format: 'wav' } })),
  },
]

test.for(DIALECTS)(
  'A medium of another dialect is cut out of the body, and every provider gets it unchanged: $name',
  async (one) => {
    const text = JSON.stringify({ model: 'm', ...one.body })
    const long = await parseLong(text, 16_384, one.endpoint)
    expect(long.cuts).toBeDefined()
    expect(long.text.length).toBeLessThan(20_000)
    const whole = parseJsonObject(Buffer.from(text))
    for (const model of Object.keys(MODELS))
      expect(use(long, model, false, one.endpoint, whole.text), model).toEqual(use(whole, model, false, one.endpoint))
  },
)

const LEFT_WHOLE_OF_OTHERS = [
  {
    name: 'a text document',
    endpoint: messages,
    servedBy: 3,
    body: asked({
      type: 'document',
      source: { type: 'text', media_type: 'text/plain', data: noise.toString('base64') },
    }),
  },
  { name: 'a document of text in base64', endpoint: messages, body: asked(block('document', 'text/plain', noise)) },
  {
    name: 'an image that is a URL',
    endpoint: messages,
    servedBy: 3,
    body: asked({
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: url('image/png', BYTES.png) },
    }),
  },
  {
    name: 'an image below a document',
    endpoint: messages,
    servedBy: 3,
    body: asked({ type: 'document', source: { type: 'content', content: [block('image', 'image/png', BYTES.png)] } }),
  },
  { name: 'an image of another name', endpoint: messages, body: asked(block('picture', 'image/png', BYTES.png)) },
  {
    name: 'an image that was made',
    endpoint: responses,
    body: given({ type: 'image_generation_call', id: 'i', result: BYTES.png.toString('base64') }),
  },
  {
    name: 'a result that is a text',
    endpoint: responses,
    body: given({ type: 'function_call_output', call_id: 'c', output: noise.toString('base64') }),
  },
  {
    name: 'an image in a part of text',
    endpoint: responses,
    body: given(said({ type: 'input_text', text: 'a', image_url: url('image/png', BYTES.png) })),
  },
  { name: 'a part as chat completions have it', endpoint: messages, body: asked(image(url('image/png', BYTES.png))) },
]

test.for(LEFT_WHOLE_OF_OTHERS)('A body of another dialect is parsed whole: $name', async ({ endpoint, body }) => {
  const text = JSON.stringify({ model: 'm', ...body })
  const long = await parseLong(text, 16_384, endpoint)
  expect(long.cuts).toBeUndefined()
  expect(long.text.toString()).toBe(text)
})

test('Where messages are written anew, media go upstream as they came.', async () => {
  const calls = [{ id: 'call_1__sig_q1Y', type: 'function', function: { name: 'f', arguments: '{}' } }]
  const messages = [
    { role: 'user', content: [image(url('image/png', BYTES.png))] },
    { role: 'assistant', content: null, tool_calls: calls },
    { role: 'tool', tool_call_id: 'call_1__sig_q1Y', content: 'r' },
  ]
  const text = body([], { messages })
  const long = await parseLong(text)
  expect(long.cuts).toBeDefined()
  for (const model of ['openai', 'claude', 'flash', 'compatible', 'llama'])
    expect(use(long, model), model).toEqual(use(parseJsonObject(Buffer.from(text)), model))
})

test('A body is read the same however its bytes are cut.', async () => {
  const text = body([image(url('image/png', BYTES.png)), sound(BYTES.wav.toString('base64'))])
  const whole = use(parseJsonObject(Buffer.from(text)), 'hearing')
  for (const piece of [1_000, 4_097, 65_537, text.length]) {
    const long = await parseLong(text, piece)
    expect(long.cuts).toBeDefined()
    expect(use(long, 'hearing')).toEqual(whole)
  }
})

const base64 = noise.toString('base64')
const LEFT_WHOLE = [
  { name: 'slashes that are escaped', text: body([image(url('image/png', BYTES.png))]).replaceAll('/', '\\/') },
  {
    name: 'an escape',
    text: body([sound(base64)]).replace(
      base64.slice(0, 10),
      `\\u00${base64.charCodeAt(0).toString(16)}${base64.slice(1, 10)}`,
    ),
  },
  { name: 'the other alphabet', text: body([sound(`-_${base64.slice(2)}`)]) },
  { name: 'the other alphabet far behind', text: body([sound(`${base64.slice(0, -4)}__AA`)]) },
  { name: 'an end within', text: body([sound(`${base64.slice(0, 80_000)}QQ==${base64.slice(80_000, 90_000)}`)]) },
  { name: 'a letter too few', text: body([sound(base64.slice(0, 90_001))]) },
  { name: 'line ends', text: body([sound(`${base64.slice(0, 80_000)}\n\n\n\n${base64.slice(0, 8_000)}`)]) },
  { name: 'blanks', text: body([sound(`${base64.slice(0, 80_000)}    ${base64.slice(0, 8_000)}`)]) },
  { name: 'letters of other alphabets', text: body([sound(`${base64.slice(0, 80_000)}éé${base64.slice(0, 8_000)}`)]) },
  { name: 'a text', text: body([{ type: 'text', text: base64 }]) },
  { name: 'a content that is one text', text: body([], { messages: [{ role: 'user', content: base64 }] }) },
  {
    name: 'an image beside a text',
    text: body([{ type: 'text', text: 'a', image_url: { url: url('image/png', BYTES.png) } }]),
  },
  {
    name: 'an image in a file',
    text: body([{ type: 'file', image_url: { url: url('image/png', BYTES.png) }, file: {} }]),
  },
  { name: 'a text as a file', text: body([file(url('text/plain', noise))]) },
  { name: 'a file without a type', text: body([file(base64)]) },
  { name: 'an image that is no image by its URL', text: body([image(url('text/html', noise))]) },
  { name: 'a sound of another type', text: body([sound(url('text/plain', noise))]) },
  {
    name: 'an image of an assistant',
    text: body([], { messages: [{ role: 'assistant', content: 'a', images: [image(url('image/png', BYTES.png))] }] }),
  },
  { name: 'a member of ours nobody knows', text: body([{ type: 'text', text: 'a' }], { metadata: { a: base64 } }) },
  {
    name: 'one image that is and one that is not',
    text: body([image(url('image/png', BYTES.png)), { type: 'text', text: base64 }]),
  },
]

test.for(LEFT_WHOLE)('The body is parsed whole: $name', async ({ text }) => {
  const long = await parseLong(text)
  expect(long.cuts).toBeUndefined()
  expect(long.text.toString()).toBe(text)
  const whole = parseJsonObject(Buffer.from(text))
  for (const model of ['openai', 'hearing', 'claude', 'flash', 'everything'])
    expect(use(long, model), model).toEqual(use(whole, model))
})

const part = JSON.stringify(image(url('image/png', BYTES.png)))

test.for([
  {
    name: 'a medium twice',
    text: `{"model":"m","messages":[{"role":"user","content":[${part.replace('}}', `,"url":"x"}}`)}]}]}`,
    error: /Duplicate member "messages\[0\].content\[0\].image_url.url"/,
  },
  {
    name: 'a name of 90 kB twice',
    text: `{"model":"m","messages":[{"role":"user","content":"x"}],"${base64}":1,"${base64}":2}`,
    error: /Duplicate member/,
  },
  {
    name: 'half of a pair beside a medium',
    text: `{"model":"m","messages":[{"role":"user","content":[${part},{"type":"text","text":"\\ud800"}]}]}`,
    error: /half of a surrogate pair/,
  },
  {
    name: 'no JSON behind a medium',
    text: `{"model":"m","messages":[{"role":"user","content":[${part},]}]}`,
    error: /not valid JSON/,
  },
  {
    name: 'a medium without an end',
    text: `{"model":"m","messages":[{"role":"user","content":[${part.slice(0, -5)}`,
    error: /not valid JSON/,
  },
])('A body is refused as ever: $name', async ({ text, error }) => {
  await expect(parseLong(text)).rejects.toThrow(error)
  expect(() => parseJsonObject(Buffer.from(text))).toThrow(error)
})

test('A text that looks like a mark is sent on as its caller wrote it.', async () => {
  const prefix = '~00000000000000000000000000000000:'
  const parts = [
    image(`data:image/png;base64,AAAA${prefix}000000~`),
    image(url('image/png', BYTES.png)),
    { type: 'text', text: `${prefix}000000~` },
  ]
  const text = body(parts)
  const long = await parseLong(text)
  expect(long.cuts).toBeDefined()
  expect(use(long, 'openai')).toEqual(use(parseJsonObject(Buffer.from(text)), 'openai'))
})

test('The marks in the place of media are drawn anew for each request.', async () => {
  const text = body([image(url('image/png', BYTES.png))])
  const marks = await Promise.all(
    Array.from({ length: 20 }, async () => (await parseLong(text)).text.toString().split('~')[1]),
  )
  expect(new Set(marks).size).toBe(20)
})
