/**
 * What goes upstream is what was priced. Each trick is a request that some server would run dearer than it reads; what is asserted is
 * that nothing was called, held or booked, or the exact bytes that went out and what was charged for them.
 */
import { describe, expect, test } from 'vitest'
import { rowOfCall, rowsOf } from '../support/call-books.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

const product = useProduct((url) => {
  const mini = { model: 'openai/gpt-4o-mini' }
  return {
    models: [
      modelOn(url, 'dropping', { ...mini, drop_params: true }),
      modelOn(url, 'allowing', { ...mini, allowed_openai_params: ['num_predict', 'messages[].id', 'extra_body'] }),
      modelOn(url, 'everything', { ...mini, allowed_openai_params: ['*'] }),
      modelOn(url, 'reasoning', { model: 'openai/o4-mini', allowed_openai_params: ['*'] }),
      modelOn(url, 'llama', { model: 'groq/llama-3.3-70b-versatile' }),
      modelOn(url, 'grok', { model: 'xai/grok-3' }),
      modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
      modelOn(url, 'routed-dropping', { model: 'openrouter/openai/gpt-4o-mini', drop_params: true }),
      modelOn(url, 'routed-preset', {
        model: 'openrouter/openai/gpt-4o-mini',
        extra_body: { provider: { order: ['azure'], max_price: { prompt: 1, completion: 2 } } },
      }),
      modelOn(url, 'claude', { model: 'anthropic/claude-sonnet-4-5' }),
    ],
    litellm_settings: { num_retries: 0 },
  }
})

const MESSAGES = '"messages":[{"role":"user","content":"Say hello"}]'
/** A request's text: `rest` as written, for JSON.stringify would not write half of it. */
const request = (rest: string, model = 'gpt-4o-mini') => `{"model":"${model}",${MESSAGES}${rest}}`
/** 11 tokens at $0.15 a million and 5 at $0.60, and 50 % on top. */
const CHARGED = { credits_used: '0.006975', outcome: 'answered' }

interface Result {
  answer: CallAnswer
  /** Bodies that reached the provider. */
  sent: string[]
  orgId: string
}

async function call(body: string): Promise<Result> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const before = upstream.requests.length
  upstream.respond(chat())
  const answer = await postChat(tollgate, acme.keys.alice, body)
  return { answer, sent: upstream.requests.slice(before).map((one) => one.body.toString()), orgId: acme.id }
}

async function expectNothingHappened({ sent, orgId }: Result): Promise<void> {
  expect(sent).toEqual([])
  expect(await rowsOf(product.db.pool, orgId)).toEqual([])
  const { rows } = await product.db.pool.query('select 1 from ledger_holds where org_id = $1', [orgId])
  expect(rows).toEqual([])
}

const heldFor = async ({ answer }: Result) =>
  Number((await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))).details.held)

describe('is refused by name, before anything is called or held:', () => {
  test.for<[string, string, string, string]>([
    ['a member twice', ',"max_tokens":9,"max_tokens":900', 'max_tokens', 'twice'],
    ['a member twice, once escaped', ',"max_tokens":9,"\\u006dax_tokens":900', 'max_tokens', 'twice'],
    [
      'usage asked for twice',
      ',"stream":true,"stream_options":{"include_usage":true,"include_usage":false}',
      'stream_options.include_usage',
      'twice',
    ],
    ['stream_options twice', ',"stream":true,"stream_options":{},"stream_options":null', 'stream_options', 'twice'],
    [
      'a schema with a hidden half',
      ',"tools":[{"type":"function","function":{"name":"f","parameters":{"title":"long","title":"t"}}}]',
      'tools[0].function.parameters.title',
      'twice',
    ],
    ['metadata twice over', ',"metadata":{"a":"1","\\u0061":"2"}', 'metadata.a', 'twice'],
    ['another case', ',"max_tokens":1,"Max_Tokens":9000', 'Max_Tokens', 'max_tokens'],
    ['capitals', ',"MAX_COMPLETION_TOKENS":9000', 'MAX_COMPLETION_TOKENS', 'max_completion_tokens'],
    ['the sign for kelvin', ',"max_tokens":1,"max_to\u212aens":9000', 'max_to\\u212aens', 'max_tokens'],
    ['the same, escaped', ',"max_tokens":1,"max_to\\u212aens":9000', 'max_to\\u212aens', 'max_tokens'],
    ['a long s', ',"max_token\u017f":9000', 'max_token\\u017f', 'max_tokens'],
    ['a long s in front', ',"\u017ftream":true', '\\u017ftream', 'stream'],
    ['full width', ',"\uff4e":8', '\\uff4e', 'n'],
    ['camel case, as protobuf reads it', ',"maxTokens":9000', 'maxTokens', 'max_tokens'],
    ['a NUL at the end, as C reads it', ',"max_tokens\\u0000":9000', 'max_tokens\\u0000', 'max_tokens'],
    ['choices by a capital', ',"N":8', 'N', 'n'],
    ['another model', ',"Model":"gpt-5-pro"', 'Model', 'model'],
    ['another tier', ',"Service_Tier":"priority"', 'Service_Tier', 'service_tier'],
    [
      'usage by another case',
      ',"stream":true,"stream_options":{"Include_Usage":false}',
      'stream_options.Include_Usage',
      'include_usage',
    ],
    [
      'a tool that says more',
      ',"tools":[{"type":"function","function":{"name":"f","Description":"long"}}]',
      'tools[0].function.Description',
      'description',
    ],
    [
      'a place of search',
      ',"web_search_options":{"Search_Context_Size":"high"}',
      'web_search_options.Search_Context_Size',
      'search_context_size',
    ],
  ])('%s', async ([, rest, param, word]) => {
    for (const model of ['gpt-4o-mini', 'dropping', 'everything', 'claude']) {
      const result = await call(request(rest, model))
      const said = expectRefusal(result.answer, { status: 400, code: 'invalid_request', param })
      expect(said).toContain(word)
      await expectNothingHappened(result)
    }
  })

  test('content that only some server reads', async () => {
    const messages = [
      ['{"role":"user","content":"hi","Content":"long"}', 'messages[0].Content'],
      ['{"role":"user","content":"hi","content":"long"}', 'messages[0].content'],
      ['{"role":"user","content":[{"type":"text","text":"hi","TEXT":"long"}]}', 'messages[0].content[0].TEXT'],
      [
        '{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}","Argument\u017f":"long"}}]}',
        'messages[0].tool_calls[0].function.Argument\\u017f',
      ],
    ]
    for (const [message, param] of messages as [string, string][]) {
      const result = await call(`{"model":"gpt-4o-mini","messages":[${message}]}`)
      expectRefusal(result.answer, { status: 400, code: 'invalid_request', param })
      await expectNothingHappened(result)
    }
  })

  test.for<[string, string, string, string?]>([
    ['a cap of another server', ',"max_tokens":9,"num_predict":9000', 'num_predict'],
    ['choices of another server', ',"best_of":20', 'best_of'],
    ['a body inside the body', ',"extra_body":{"max_tokens":9000,"n":20}', 'extra_body'],
    ['options of Ollama', ',"options":{"num_predict":9000}', 'options'],
    ['what LiteLLM lets clients say', ',"allowed_openai_params":["best_of"]', 'allowed_openai_params'],
    ['a deployment of the caller', ',"api_base":"https://example.org"', 'api_base'],
    [
      "a message's stranger",
      ',"tools":[{"type":"function","function":{"name":"f","note":1}}]',
      'tools[0].function.note',
    ],
    ['routing at a server that has none', ',"provider":{"order":["x"]}', 'provider'],
    [
      'models of a compound system',
      ',"compound_custom":{"models":{"answering_model":"x"}}',
      'compound_custom',
      'llama',
    ],
    ['documents that nobody counts', ',"documents":[{"text":"long"}]', 'documents', 'llama'],
    ["a preset of the operator's account", ',"preset":"dear"', 'preset', 'routed'],
    ['a stranger in what is known', ',"provider":{"order":["x"],"max_prices":1}', 'provider.max_prices', 'routed'],
    ['a tier in capitals', ',"service_tier":"PRIORITY"', 'service_tier'],
    ['a tier that is a list', ',"service_tier":["priority"]', 'service_tier'],
    ['a tier nobody sells', ',"service_tier":"batch"', 'service_tier'],
    ['an answer fetched later', ',"deferred":true', 'deferred', 'grok'],
    ['the same where all is let through', ',"deferred":true', 'deferred', 'everything'],
    ['a call in the background', ',"background":1', 'background', 'everything'],
    ['the same where it could be left out', ',"background":true', 'background', 'dropping'],
  ])('%s', async ([, rest, param, model]) => {
    const result = await call(request(rest, model))
    expectRefusal(result.answer, { status: 400, code: 'unsupported_parameter', param })
    await expectNothingHappened(result)
  })

  test.for<[string, string]>([
    [',"n":1.5', 'n'],
    [',"n":"8"', 'n'],
    [',"n":1e400', 'n'],
    [',"max_tokens":1e400', 'max_tokens'],
    [',"max_tokens":"9"', 'max_tokens'],
    [',"max_tokens":[9]', 'max_tokens'],
    [',"stream":"true"', 'stream'],
    [',"stream_options":[]', 'stream_options'],
  ])('a value that servers read differently: %s', async ([rest, param]) => {
    const result = await call(request(rest))
    expectRefusal(result.answer, { status: 400, code: 'invalid_request', param })
    await expectNothingHappened(result)
  })
})

test('the refusal says what to do', async () => {
  const { answer } = await call(request(',"top_n":3'))
  expect(answer.json().detail).toBe(
    "'top_n' is no parameter that OpenAI is known to take. Leave it out, or ask the operator for drop_params: true or allowed_openai_params: ['top_n'].",
  )
  const folded = await call(request(',"Top_P":1'))
  expect(folded.answer.json().detail).toBe(
    "'Top_P' is no member of a request. Write 'top_p' if that is meant, or leave it out.",
  )
})

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
  ])('%s', async ([, rest, out]) => {
    const result = await call(request(rest))
    expect(result.answer.status).toBe(200)
    expect(result.sent).toEqual([request(out)])
    expect(await rowsOf(product.db.pool, result.orgId)).toMatchObject([CHARGED])
  })

  test('a conversation as any client sends it back', async () => {
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
  test('leaves out what is not known, at every depth, and not a digit else', async () => {
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
  test('lets through what is named, as it came, and nothing else', async () => {
    const body = `{"model":"allowing","messages":[{"role":"user","content":"hi","id":"m1"}],"num_predict":1.50,"extra_body":{"a":1}}`
    const { answer, sent } = await call(body)
    expect([answer.status, sent]).toEqual([200, [body.replace('allowing', 'gpt-4o-mini')]])
    const other = await call(request(',"num_predict":1,"best_of":2', 'allowing'))
    expectRefusal(other.answer, { status: 400, code: 'unsupported_parameter', param: 'best_of' })
    await expectNothingHappened(other)
  })

  test('counts what they hold as input', async () => {
    const held = async (extra: string) => heldFor(await call(request(`,"max_tokens":10,"foo":${extra}`, 'everything')))
    const [small, large] = [await held('"a"'), await held(JSON.stringify('words '.repeat(10_000)))]
    // At least ten thousand tokens at $0.15 a million, and 50 %.
    expect(large - small).toBeGreaterThan(2.25)
  })

  test('believes no cap: a call is held at the most its model writes, or not made', async () => {
    const result = await call(request(',"max_tokens":1,"lift":true', 'everything'))
    expect(result.sent).toEqual([
      request(',"max_tokens":1,"lift":true,"max_completion_tokens":1').replace('everything', 'gpt-4o-mini'),
    ])
    // 16 384 tokens at $0.60 a million, and 50 %.
    expect(await heldFor(result)).toBeGreaterThan(14.7456)
    const { db, tollgate, upstream } = product
    const poor = await db.seedOrganization({ credits: 10, users: { bob: 10 } })
    const before = upstream.requests.length
    const refused = await postChat(tollgate, poor.keys.bob, request(',"max_tokens":1,"lift":true', 'everything'))
    expect([refused.status, upstream.requests.length]).toEqual([402, before])
    expect((await postChat(tollgate, poor.keys.bob, request(',"max_tokens":1', 'everything'))).status).toBe(200)
  })

  test('lets a stream that shows its output grow its hold, and holds one that hides it in full', async () => {
    const shown = await heldFor(await call(request(',"stream":true,"max_tokens":1,"lift":true', 'everything')))
    // 4 096 tokens at $0.60 a million, and 50 %.
    expect(shown).toBeGreaterThan(3.6864)
    expect(shown).toBeLessThan(3.7)
    // 100 000 at $4.40 are 660 credits, and alice has 500.
    const hidden = await call(request(',"stream":true,"max_tokens":1,"lift":true', 'reasoning'))
    expect([hidden.answer.status, hidden.sent]).toEqual([402, []])
    const stated = await call(request(',"stream":true,"max_tokens":1', 'reasoning'))
    expect(stated.answer.status).toBe(200)
  })
})

describe('OpenRouter is told the prices of the quote', () => {
  const CAPS = ',"max_tokens":9,"max_completion_tokens":9'
  const bound = (model: string, rest: string) => call(request(`,"max_tokens":9${rest}`, model))
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
  ])('%s', async ([, model, rest, provider]) => {
    const { answer, sent } = await bound(model, rest)
    expect(answer.status).toBe(200)
    expect(sent.map((body) => JSON.parse(body))).toEqual([JSON.parse(out(provider))])
  })
})

test('Groq, which refuses its mere name, is not sent store: false', async () => {
  const caps = ',"max_completion_tokens":9,"max_tokens":9'
  const { answer, sent } = await call(request(`${caps},"store":false`, 'llama'))
  expect(answer.status).toBe(200)
  expect(sent).toEqual([request(caps, 'llama-3.3-70b-versatile')])
})

test('a cheaper tier is charged where the answer states it, and only held at the list price', async () => {
  const unstated = await call(request(',"service_tier":"flex"'))
  expect(await rowsOf(product.db.pool, unstated.orgId)).toMatchObject([CHARGED])
})

test('thirty thousand members that nobody knows are refused, or left out, in no time', async () => {
  const many = Array.from({ length: 30_000 }, (_, n) => `"a${n}":0`).join()
  const begun = performance.now()
  const { answer } = await call(request(`,${many}`))
  expectRefusal(answer, { status: 400, code: 'unsupported_parameter', param: 'a0' })
  const dropped = await call(request(`,${many}`, 'dropping'))
  expect(dropped.sent).toEqual([request('')])
  const twice = await call(request(`,${many},"a0":1`))
  expectRefusal(twice.answer, { status: 400, code: 'invalid_request', param: 'a0' })
  expect(performance.now() - begun).toBeLessThan(15_000)
})
