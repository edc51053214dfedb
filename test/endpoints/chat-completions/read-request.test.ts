import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createBodies } from '../../../src/admission/bodies.ts'
import type { EndpointRequest } from '../../../src/call/endpoint.ts'
import { readRequest } from '../../../src/call/read-request.ts'
import { chatCompletions } from '../../../src/endpoints/chat-completions/chat-completions.ts'
import { parseRequest } from '../../../src/endpoints/chat-completions/read-request.ts'
import { TollgateError } from '../../../src/http/errors.ts'
import type { Caller } from '../../../src/identity/caller.ts'

const MESSAGES = '"messages":[{"role":"user","content":"hi"}]'
const parse = (text: string) => parseRequest(Buffer.from(text))

function refusal(run: () => unknown): { status: number; code: string; param: string | null } {
  try {
    run()
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error
    const { status, code, param } = error
    return { status, code, param }
  }
  throw new Error('the request was accepted')
}

describe('a request that is read', () => {
  test('A request that is read keeps its bytes and tells what we rely on.', () => {
    const text = Buffer.from(
      `{ "model": "gpt-4o", ${MESSAGES}, "stream": true, "n": 3, "max_tokens": 50, "seed": 9007199254740993, "stream_options": {"include_usage": true} }`,
    )
    const read = parseRequest(text)
    expect(read.text).toBe(text)
    expect(read.members.map(({ key }) => key)).toEqual(Object.keys(read.json))
    expect(read).toMatchObject({ model: 'gpt-4o', stream: true, includeUsage: true, choices: 3, outputCap: 50 })
  })

  test('A request that is read has defaults for what is missing or null.', () => {
    for (const rest of [
      '',
      ',"stream":null,"n":null,"max_tokens":null,"max_completion_tokens":null,"stream_options":null',
    ]) {
      expect(parse(`{"model":"m",${MESSAGES}${rest}}`)).toMatchObject({
        stream: false,
        includeUsage: false,
        choices: 1,
        outputCap: null,
      })
    }
  })

  test.each([
    ['"max_tokens":7', 7],
    ['"max_completion_tokens":8', 8],
    ['"max_tokens":7,"max_completion_tokens":8', 8],
    ['"max_tokens":9,"max_completion_tokens":8', 9],
    ['"max_tokens":1.0', 1],
  ])('A request that is read is covered up to the larger of its caps: %s.', (caps, cap) => {
    expect(parse(`{"model":"m",${MESSAGES},${caps}}`).outputCap).toBe(cap)
  })

  test('A request that is read may have nested members of the same name, unknown ones and names of prototypes.', () => {
    const read = parse(`{"model":"m",${MESSAGES},"x":{"model":"n"},"__proto__":{"stream":true},"toString":1}`)
    expect(read.stream).toBe(false)
    expect(read.model).toBe('m')
    expect(read.strangers.map(({ path }) => path)).toEqual([['x'], ['__proto__'], ['toString']])
  })

  test('A request that is read may nest 256 levels and hold brackets in strings.', () => {
    const deep = `${'['.repeat(255)}${']'.repeat(255)}`
    expect(parse(`{"model":"m",${MESSAGES},"x":${deep},"y":"${'{['.repeat(400)}\\""}`).model).toBe('m')
  })
})

describe('a request that is refused', () => {
  const invalidJson = { status: 400, code: 'invalid_json', param: 'request_body' }
  test.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['half an object', `{"model":"m",${MESSAGES}`],
    ['NaN', `{"model":"m",${MESSAGES},"temperature":NaN}`],
    ['Infinity', `{"model":"m",${MESSAGES},"temperature":-Infinity}`],
    ['a trailing comma', `{"model":"m",${MESSAGES},}`],
    ['a comment', `{"model":"m",${MESSAGES} /* x */}`],
    ['two objects', `{"model":"m",${MESSAGES}}{}`],
    ['a byte order mark', `\ufeff{"model":"m",${MESSAGES}}`],
    ['a control character in a string', `{"model":"m\u0001",${MESSAGES}}`],
    ['brackets that never open', ']]]]'],
  ])('A body that is not JSON is refused: %s.', (_, text) => {
    expect(refusal(() => parse(text))).toEqual(invalidJson)
  })

  test.each([
    ['a stray continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a cut sequence', [0xe2, 0x82]],
  ])('A body that is not UTF-8 is refused: %s.', (_, bytes) => {
    const text = Buffer.concat([Buffer.from('{"model":"'), Buffer.from(bytes), Buffer.from(`",${MESSAGES}}`)])
    expect(refusal(() => parseRequest(text))).toEqual(invalidJson)
  })

  test.each([
    ['a list', '[]', 'request_body'],
    ['a number', '1', 'request_body'],
    ['null', 'null', 'request_body'],
    ['a text', '"hello"', 'request_body'],
    ['no model', `{${MESSAGES}}`, 'model'],
    ['a model that is no text', `{"model":1,${MESSAGES}}`, 'model'],
    ['an empty model', `{"model":" ",${MESSAGES}}`, 'model'],
    ['a model without end', `{"model":"${'m'.repeat(257)}",${MESSAGES}}`, 'model'],
    ['no messages', '{"model":"m"}', 'messages'],
    ['messages that are no list', '{"model":"m","messages":{}}', 'messages'],
    ['an empty list of messages', '{"model":"m","messages":[]}', 'messages'],
    ['a message that is no object', '{"model":"m","messages":[{},"hi"]}', 'messages[1]'],
    ['a message that is null', '{"model":"m","messages":[null]}', 'messages[0]'],
    ['a message that is a list', '{"model":"m","messages":[[]]}', 'messages[0]'],
    ['stream as text', `{"model":"m",${MESSAGES},"stream":"true"}`, 'stream'],
    ['stream as a number', `{"model":"m",${MESSAGES},"stream":1}`, 'stream'],
    ['n as text', `{"model":"m",${MESSAGES},"n":"2"}`, 'n'],
    ['n of 0', `{"model":"m",${MESSAGES},"n":0}`, 'n'],
    ['n below 0', `{"model":"m",${MESSAGES},"n":-1}`, 'n'],
    ['half an n', `{"model":"m",${MESSAGES},"n":1.5}`, 'n'],
    ['n beyond 128', `{"model":"m",${MESSAGES},"n":129}`, 'n'],
    ['max_tokens of 0', `{"model":"m",${MESSAGES},"max_tokens":0}`, 'max_tokens'],
    ['max_tokens below 0', `{"model":"m",${MESSAGES},"max_tokens":-5}`, 'max_tokens'],
    ['max_tokens as text', `{"model":"m",${MESSAGES},"max_tokens":"5"}`, 'max_tokens'],
    ['max_tokens beyond integers', `{"model":"m",${MESSAGES},"max_tokens":1e400}`, 'max_tokens'],
    ['max_tokens beyond exact integers', `{"model":"m",${MESSAGES},"max_tokens":9007199254740993}`, 'max_tokens'],
    ['half a max_completion_tokens', `{"model":"m",${MESSAGES},"max_completion_tokens":0.5}`, 'max_completion_tokens'],
    [
      'max_completion_tokens in a list',
      `{"model":"m",${MESSAGES},"max_completion_tokens":[1]}`,
      'max_completion_tokens',
    ],
    ['stream_options as text', `{"model":"m",${MESSAGES},"stream_options":"x"}`, 'stream_options'],
    ['stream_options as a list', `{"model":"m",${MESSAGES},"stream_options":[]}`, 'stream_options'],
    ['model twice', `{"model":"m",${MESSAGES},"model":"n"}`, 'model'],
    ['model twice, once escaped', `{"model":"m",${MESSAGES},"\\u006dodel":"n"}`, 'model'],
    ['any member twice', `{"model":"m",${MESSAGES},"x":1,"x":1}`, 'x'],
    ['257 levels', `{"model":"m",${MESSAGES},"x":${'['.repeat(256)}${']'.repeat(256)}}`, 'request_body'],
    ['a million levels', '[{'.repeat(500_000), 'request_body'],
  ])('A request that can’t be metered is refused: %s.', (_, text, param) => {
    expect(refusal(() => parse(text))).toEqual({ status: 400, code: 'invalid_request', param })
  })
})

describe('a request over HTTP', () => {
  const LIMIT = 1000
  const VALUES = 40
  const caller = { organizationId: 'o', userId: 'u' } as Caller
  const bodies = createBodies(
    { bodyBytes: LIMIT, totalBytes: LIMIT, uploadsPerCaller: 1, silentMs: 200 },
    async () => true,
  )
  const read = (incoming: IncomingMessage) =>
    readRequest({ bodies, valuesMax: VALUES, sessionHeaders: [] }, chatCompletions, incoming, caller)
  const server = createServer()
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  /** What readRequest made of it, on the server's side. */
  async function send(
    headers: Record<string, string>,
    body: string | Buffer,
  ): Promise<EndpointRequest | TollgateError> {
    const { port } = server.address() as AddressInfo
    const arrived = once(server, 'request') as Promise<[IncomingMessage, { end(): void }]>
    const outgoing = request({ port, host: '127.0.0.1', method: 'POST', headers, agent: false })
    outgoing.on('error', () => {})
    outgoing.end(body)
    const [incoming, answer] = await arrived
    const sent = await read(incoming).catch((error: unknown) => error as TollgateError)
    answer.end()
    if (sent instanceof TollgateError) return sent
    sent.release()
    return sent.request
  }

  const BODY = `{"model":"m",${MESSAGES}}`

  test.each<[string, Record<string, string>]>([
    ['application/json', { 'content-type': 'application/json' }],
    ['with a charset', { 'content-type': 'Application/JSON; charset=utf-8' }],
    ['a JSON dialect', { 'content-type': 'application/vnd.api+json' }],
    ['none', {}],
    ['identity coding', { 'content-encoding': 'identity' }],
  ])('A request over HTTP is read: content type %s.', async (_, headers) => {
    expect(await send(headers, BODY)).toMatchObject({ model: 'm', text: Buffer.from(BODY) })
  })

  test.each<[string, Record<string, string>, string]>([
    ['text/plain', { 'content-type': 'text/plain' }, 'unsupported_media_type'],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'unsupported_media_type'],
    ['multipart', { 'content-type': 'multipart/form-data; boundary=x' }, 'unsupported_media_type'],
    ['JSON lines', { 'content-type': 'application/jsonl' }, 'unsupported_media_type'],
    ['gzip', { 'content-encoding': 'gzip' }, 'unsupported_encoding'],
  ])('A request over HTTP is refused with 415: %s.', async (_, headers, code) => {
    expect(await send(headers, BODY)).toMatchObject({ status: 415, code, param: null })
  })

  test.each<[string, Record<string, string>]>([
    ['by its stated length', {}],
    ['while it comes in', { 'transfer-encoding': 'chunked' }],
  ])('A request over HTTP is refused with 413 when it is too large, told %s.', async (_, headers) => {
    const body = `{"model":"m",${MESSAGES},"x":"${'x'.repeat(LIMIT)}"}`
    expect(await send(headers, body)).toMatchObject({ status: 413, code: 'request_too_large', param: null })
  })

  test('A request over HTTP is refused with 413 when it holds too many values, before it is whole.', async () => {
    const body = `{"model":"m",${MESSAGES},"x":[${'0,'.repeat(VALUES)}`
    const refused = { status: 413, code: 'too_many_values', param: 'request_body', limit: 'body_values' }
    expect(await send({ 'content-length': `${LIMIT}` }, body)).toMatchObject(refused)
  })

  test('A request over HTTP that stops coming is refused with 408.', async () => {
    const refused = { status: 408, code: 'body_timeout', headers: { 'Retry-After': '1' }, limit: 'silent' }
    expect(await send({ 'content-length': '100' }, '{"model":')).toMatchObject(refused)
  })

  test('A request over HTTP of exactly the limit is read.', async () => {
    const body = BODY.replace('hi', 'h'.repeat(LIMIT - BODY.length + 2))
    expect(Buffer.byteLength(body)).toBe(LIMIT)
    expect(await send({}, body)).toMatchObject({ model: 'm' })
  })

  test('A request over HTTP that breaks off is refused with 400.', async () => {
    const { port } = server.address() as AddressInfo
    const arrived = once(server, 'request') as Promise<[IncomingMessage]>
    const outgoing = request({
      port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { 'content-length': '100' },
      agent: false,
    })
    outgoing.on('error', () => {})
    outgoing.write('{"model":')
    const [incoming] = await arrived
    const reading = read(incoming)
    outgoing.destroy()
    await expect(reading).rejects.toMatchObject({ status: 400, code: 'incomplete_body' })
  })
})

test('A cap no price could be held for is refused.', () => {
  const body = (cap: number) => Buffer.from(`{"model":"m","messages":[{}],"max_tokens":${cap}}`)
  expect(parseRequest(body(2_147_483_647)).outputCap).toBe(2_147_483_647)
  expect(() => parseRequest(body(2_147_483_648))).toThrow('"max_tokens" must be an integer from 1 to 2147483647.')
})

describe('what some server would take for another form of it is refused', () => {
  test.each([
    ['tools', { type: 'web_search' }],
    ['tools', ['web_search']],
    ['tools', [{ type: ['web_search'] }]],
    ['web_search_options', true],
    ['web_search_options', []],
    ['search_parameters', 'on'],
    ['plugins', { id: 'web' }],
    ['models', 'gpt-4o'],
    ['modalities', 'audio'],
    ['modalities', ['Audio']],
  ])('What some server would take for another form of it is refused: %s: %j.', (name, value) => {
    const text = `{"model":"m",${MESSAGES},"${name}":${JSON.stringify(value)}}`
    expect(refusal(() => parse(text))).toEqual({ status: 400, code: 'invalid_request', param: name })
  })

  test('A part in the place of the list of parts is refused.', () => {
    const text = '{"model":"m","messages":[{"role":"user","content":{"type":"image_url","image_url":{"url":"x"}}}]}'
    expect(refusal(() => parse(text)).param).toBe('messages[0].content')
  })
})
