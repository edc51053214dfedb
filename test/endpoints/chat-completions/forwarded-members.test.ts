/** What goes upstream is what was priced: the exact bytes that went out, and what was held and charged for them. */
import { describe, expect, test } from 'vitest'
import { rowOfCall, rowsOf } from '../../support/call-books.ts'
import { expectRefusal } from '../../support/error-shape.ts'
import { expectNothingHappened, forward, heldFor, MESSAGES, written } from '../../support/forwarded.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'

const product = useProduct((url) => {
  const mini = { model: 'openai/gpt-4o-mini' }
  return {
    models: [
      modelOn(url, 'dropping', { ...mini, drop_params: true }),
      modelOn(url, 'allowing', { ...mini, allowed_openai_params: ['num_predict', 'messages[].id', 'extra_body'] }),
      modelOn(url, 'everything', { ...mini, allowed_openai_params: ['*'] }),
      modelOn(url, 'reasoning', { model: 'openai/o4-mini', allowed_openai_params: ['*'] }),
      modelOn(url, 'llama', { model: 'groq/llama-3.3-70b-versatile', allowed_openai_params: ['logprobs'] }),
      modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
      modelOn(url, 'routed-dropping', { model: 'openrouter/openai/gpt-4o-mini', drop_params: true }),
      modelOn(url, 'routed-preset', {
        model: 'openrouter/openai/gpt-4o-mini',
        extra_body: { provider: { order: ['azure'], max_price: { prompt: 1, completion: 2 } } },
      }),
    ],
    litellm_settings: { num_retries: 0 },
  }
})

const call = (body: string) => forward(product, body)
/** 11 tokens at $0.15 a million and 5 at $0.60, and 50 % on top. */
const CHARGED = { credits_used: '0.006975', outcome: 'answered' }

describe('goes out in these bytes, and is charged as they read:', () => {
  const USAGE = '"stream_options":{"include_usage":true}'
  test.for<[string, string, string]>([
    ['a cap in the older member', ',"max_tokens":45', ',"max_tokens":45,"max_completion_tokens":45'],
    ['a cap in the newer member', ',"max_completion_tokens":45', ',"max_completion_tokens":45,"max_tokens":45'],
    ['two caps', ',"max_tokens":45,"max_completion_tokens":9', ',"max_tokens":45,"max_completion_tokens":45'],
    ['a cap and no cap', ',"max_tokens":null,"max_completion_tokens":9', ',"max_tokens":9,"max_completion_tokens":9'],
    ['an escaped name', ',"\\u006dax_tokens":45', ',"\\u006dax_tokens":45,"max_completion_tokens":45'],
    ['a cap as a fraction', ',"max_tokens":4.5e1', ',"max_tokens":45,"max_completion_tokens":45'],
    ['no choices by half', ',"n":1.0', ',"n":1.0'],
    ['usage refused', ',"stream":true,"stream_options":{"include_usage":false}', `,"stream":true,${USAGE}`],
    ['usage null', ',"stream":true,"stream_options":null', `,"stream":true,${USAGE}`],
    [
      'usage and more',
      ',"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}',
      `,"stream":true,${USAGE}`,
    ],
    ['usage of no stream', ',"stream_options":{"include_usage":true}', ''],
    ['what is ours', ',"power_level":"balanced","task_type":"x","privacy_required":true', ''],
    [
      'what honest clients send',
      ',"store":false,"metadata":{"a":"b"},"user":"u","safety_identifier":"s","prompt_cache_key":"k","parallel_tool_calls":true,"verbosity":"low","seed":9007199254740993,"temperature":1.0',
      ',"store":false,"metadata":{"a":"b"},"user":"u","safety_identifier":"s","prompt_cache_key":"k","parallel_tool_calls":true,"verbosity":"low","seed":9007199254740993,"temperature":1.0',
    ],
    // Stored at no price of its own, and answered here and now.
    ['a completion to be kept', ',"store":true', ',"store":true'],
    ['ways of sampling', ',"top_k":5,"min_p":0.10', ',"top_k":5,"min_p":0.10'],
  ])('A request goes out in these bytes, and is charged as they read: %s.', async ([, rest, out]) => {
    const result = await call(written(rest))
    expect(result.answer.status).toBe(200)
    expect(result.sent).toEqual([written(out)])
    expect(await rowsOf(product.db.pool, result.orgId)).toMatchObject([CHARGED])
  })

  test('A conversation goes out as any client sends it back.', async () => {
    const messages = [
      {
        role: 'system',
        content: [{ type: 'text', text: 'Be brief', cache_control: { type: 'ephemeral', ttl: '1h' } }],
      },
      { role: 'user', name: 'ann', content: [{ type: 'text', text: 'Weather?' }] },
      {
        role: 'assistant',
        content: 'Hm',
        refusal: null,
        annotations: [],
        audio: null,
        function_call: null,
        parsed: null,
        reasoning: 'r',
        reasoning_content: 'r',
        reasoning_details: [{ type: 'reasoning.text', text: 'r', index: 0 }],
        thinking_blocks: [{ type: 'thinking', thinking: 't', signature: 's' }],
        provider_specific_fields: { refusal: null },
        tool_calls: [
          {
            index: 0,
            id: 'c1',
            type: 'function',
            function: { name: 'f', arguments: '{"Content":1}', parsed_arguments: { Content: 1 } },
            extra_content: { google: { thought_signature: 's' } },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', name: 'f', content: 'sunny' },
    ]
    const body = JSON.stringify({ model: 'gpt-4o-mini', messages })
    const { answer, sent } = await call(body)
    expect([answer.status, sent]).toEqual([200, [body]])
  })
})

describe('drop_params', () => {
  test('drop_params leaves out what is not known, at every depth, and changes nothing else.', async () => {
    const messages = '"messages":[{"role":"user","content":[{"type":"text","text":"hi","x":1}],"id":"m1"}]'
    const tools =
      '"tools":[{"type":"function","function":{"name":"f","parameters":{"maximum":1.0,"x":9007199254740993},"x":1}}]'
    const body = `{"foo":{"max_tokens":9},"model":"dropping",${messages},"num_predict":9000,${tools},"top_p":1.0}`
    const { answer, sent } = await call(body)
    expect(answer.status).toBe(200)
    expect(sent).toEqual([
      '{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],' +
        '"tools":[{"type":"function","function":{"name":"f","parameters":{"maximum":1.0,"x":9007199254740993}}}],"top_p":1.0}',
    ])
  })
})

describe('allowed_openai_params', () => {
  test('allowed_openai_params lets through what is named, as it came, and nothing else.', async () => {
    const body = `{"model":"allowing","messages":[{"role":"user","content":"hi","id":"m1"}],"num_predict":1.50,"extra_body":{"a":1}}`
    const { answer, sent } = await call(body)
    expect([answer.status, sent]).toEqual([200, [body.replace('allowing', 'gpt-4o-mini')]])
    const other = await call(written(',"num_predict":1,"best_of":2', 'allowing'))
    expectRefusal(other.answer, { status: 400, code: 'unsupported_parameter', param: 'best_of' })
    await expectNothingHappened(product, other)
  })

  test('The parameters of allowed_openai_params count as input.', async () => {
    const held = async (extra: string) =>
      heldFor(product, await call(written(`,"max_tokens":10,"foo":${extra}`, 'everything')))
    const [small, large] = [await held('"a"'), await held(JSON.stringify('words '.repeat(10_000)))]
    // At least ten thousand tokens at $0.15 a million, and 50 %.
    expect(large - small).toBeGreaterThan(2.25)
  })

  const LONG = JSON.stringify('words '.repeat(2_000))
  test.for<[string, string, string]>([
    ['on top', `"foo":${LONG}`, `{"foo":${LONG}}`],
    ['on top, in an object', `"foo":{"a":${LONG}}`, `{"foo":{"a":${LONG}}}`],
    ['in a name', `${LONG}:1`, `{${LONG}:1}`],
    ['below a name that is never input', `"audio":{"foo":${LONG}}`, `{"foo":${LONG}}`],
    ['below a name that is never input with other providers', `"thinking":{"a":${LONG}}`, `{"thinking":{"a":${LONG}}}`],
  ])(
    'allowed_openai_params counts a text %s once: as much is held as for the same text in a message.',
    async ([, member, text]) => {
      const holding = async (content: string, more: string) => {
        const messages = JSON.stringify([{ role: 'user', content }])
        const body = `{"model":"everything","messages":${messages}${more}}`
        const { details } = await rowOfCall(product.db.pool, (await call(body)).answer.headers.get('x-litellm-call-id'))
        return details.held
      }
      expect(await holding('', `,${member}`)).toBe(await holding(text, ''))
    },
  )

  test('Where allowed_openai_params is set no cap is believed: a call is held at the most its model writes, or not made.', async () => {
    const result = await call(written(',"max_tokens":1,"lift":true', 'everything'))
    expect(result.sent).toEqual([
      written(',"max_tokens":1,"lift":true,"max_completion_tokens":1').replace('everything', 'gpt-4o-mini'),
    ])
    // 16 384 tokens at $0.60 a million, and 50 %.
    expect(await heldFor(product, result)).toBeGreaterThan(14.7456)
    const { db, tollgate, upstream } = product
    const poor = await db.seedOrganization({ credits: 10, users: { bob: 10 } })
    const before = upstream.requests.length
    const refused = await postChat(tollgate, poor.keys.bob, written(',"max_tokens":1,"lift":true', 'everything'))
    expect([refused.status, upstream.requests.length]).toEqual([402, before])
    expect((await postChat(tollgate, poor.keys.bob, written(',"max_tokens":1', 'everything'))).status).toBe(200)
  })

  test('allowed_openai_params lets a stream that shows its output grow its hold, and holds one that hides it in full.', async () => {
    const shown = await heldFor(product, await call(written(',"stream":true,"max_tokens":1,"lift":true', 'everything')))
    // 4 096 tokens at $0.60 a million, and 50 %.
    expect(shown).toBeGreaterThan(3.6864)
    expect(shown).toBeLessThan(3.7)
    // 100 000 at $4.40 are 660 credits, and alice has 500.
    const hidden = await call(written(',"stream":true,"max_tokens":1,"lift":true', 'reasoning'))
    expect([hidden.answer.status, hidden.sent]).toEqual([402, []])
    const stated = await call(written(',"stream":true,"max_tokens":1', 'reasoning'))
    expect(stated.answer.status).toBe(200)
  })
})

describe('OpenRouter is told the prices of the quote', () => {
  const CAPS = ',"max_tokens":9,"max_completion_tokens":9'
  const bound = (model: string, rest: string) => call(written(`,"max_tokens":9${rest}`, model))
  const out = (provider: string) => `{"model":"openai/gpt-4o-mini",${MESSAGES}${CAPS},"provider":${provider}}`

  test.for<[string, string, string, string]>([
    ['where the caller says nothing', 'routed', '', '{"max_price":{"prompt":0.15,"completion":0.6}}'],
    [
      'where the caller would pay more',
      'routed',
      ',"provider":{"order":["a"],"max_price":{"prompt":99,"completion":"1e9"}}',
      '{"order":["a"],"max_price":{"prompt":0.15,"completion":0.6}}',
    ],
    [
      'but where the caller would pay less',
      'routed',
      ',"provider":{"max_price":{"prompt":0.1,"completion":"0.5","request":0}}',
      '{"max_price":{"prompt":0.1,"completion":0.5,"request":0}}',
    ],
    [
      'over what is no price',
      'routed',
      ',"provider":{"max_price":{"prompt":null,"completion":-1}}',
      '{"max_price":{"prompt":0.15,"completion":0.6}}',
    ],
    ['over what is no object', 'routed', ',"provider":"azure"', '{"max_price":{"prompt":0.15,"completion":0.6}}'],
    [
      'without what it is not known to take',
      'routed-dropping',
      ',"provider":{"x":1,"max_price":{"y":2},"sort":"price"}',
      '{"max_price":{"prompt":0.15,"completion":0.6},"sort":"price"}',
    ],
    [
      "and the operator's own bound instead",
      'routed-preset',
      '',
      '{"order":["azure"],"max_price":{"prompt":1,"completion":2}}',
    ],
    [
      'also of a caller with wishes',
      'routed-preset',
      ',"provider":{"sort":"price"}',
      '{"sort":"price","max_price":{"prompt":1,"completion":2}}',
    ],
  ])('OpenRouter is told the prices of the quote: %s.', async ([, model, rest, provider]) => {
    const { answer, sent } = await bound(model, rest)
    expect(answer.status).toBe(200)
    expect(sent.map((body) => JSON.parse(body))).toEqual([JSON.parse(out(provider))])
  })
})

test('A parameter that a provider is thought not to honour goes to it where the operator says so.', async () => {
  const rest = ',"max_completion_tokens":9,"max_tokens":9,"logprobs":true'
  const { answer, sent } = await call(written(rest, 'llama'))
  expect([answer.status, sent]).toEqual([200, [written(rest, 'llama-3.3-70b-versatile')]])
  const other = await call(written(`${rest},"logit_bias":{"1":1}`, 'llama'))
  expectRefusal(other.answer, { status: 400, code: 'unsupported_parameter', param: 'logit_bias' })
})

test('The member store: false is not sent to Groq, which refuses its mere name.', async () => {
  const caps = ',"max_completion_tokens":9,"max_tokens":9'
  const { answer, sent } = await call(written(`${caps},"store":false`, 'llama'))
  expect(answer.status).toBe(200)
  expect(sent).toEqual([written(caps, 'llama-3.3-70b-versatile')])
})

test('A cheaper tier is charged where the response states it, and only held at the list price.', async () => {
  const unstated = await call(written(',"service_tier":"flex"'))
  expect(await rowsOf(product.db.pool, unstated.orgId)).toMatchObject([CHARGED])
})
