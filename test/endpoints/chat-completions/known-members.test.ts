/**
 * What some server would run dearer than it reads is refused by name: nothing is called, held or booked.
 */
import { describe, expect, test } from 'vitest'
import { expectRefusal } from '../../support/error-shape.ts'
import { expectNothingHappened, forward, written } from '../../support/forwarded.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn } from '../../support/tollgate.ts'

const product = useProduct((url) => {
  const mini = { model: 'openai/gpt-4o-mini' }
  return {
    models: [
      modelOn(url, 'dropping', { ...mini, drop_params: true }),
      modelOn(url, 'everything', { ...mini, allowed_openai_params: ['*'] }),
      modelOn(url, 'llama', { model: 'groq/llama-3.3-70b-versatile' }),
      modelOn(url, 'grok', { model: 'xai/grok-3' }),
      modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
      modelOn(url, 'claude', { model: 'anthropic/claude-sonnet-4-5' }),
    ],
    litellm_settings: { num_retries: 0 },
  }
})

const call = (body: string) => forward(product, body)

describe('is refused by name, before anything is called or held:', () => {
  test.for<[string, string, string, string]>([
    ['a member twice', ',"max_tokens":9,"max_tokens":900', 'max_tokens', 'Duplicate'],
    ['a member twice, once escaped', ',"max_tokens":9,"\\u006dax_tokens":900', 'max_tokens', 'Duplicate'],
    [
      'usage asked for twice',
      ',"stream":true,"stream_options":{"include_usage":true,"include_usage":false}',
      'stream_options.include_usage',
      'Duplicate',
    ],
    ['stream_options twice', ',"stream":true,"stream_options":{},"stream_options":null', 'stream_options', 'Duplicate'],
    [
      'a schema with a hidden half',
      ',"tools":[{"type":"function","function":{"name":"f","parameters":{"title":"long","title":"t"}}}]',
      'tools[0].function.parameters.title',
      'Duplicate',
    ],
    ['metadata twice over', ',"metadata":{"a":"1","\\u0061":"2"}', 'metadata.a', 'Duplicate'],
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
  ])('A second spelling of a member is refused by its name: %s.', async ([, rest, param, word]) => {
    for (const model of ['gpt-4o-mini', 'dropping', 'everything', 'claude']) {
      const result = await call(written(rest, model))
      const said = expectRefusal(result.answer, { status: 400, code: 'invalid_request', param })
      expect(said).toContain(word)
      await expectNothingHappened(product, result)
    }
  })

  test('Content that only some server reads is refused by its name.', async () => {
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
      await expectNothingHappened(product, result)
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
  ])('A member that nobody knows or may send is refused by its name: %s.', async ([, rest, param, model]) => {
    const result = await call(written(rest, model))
    expectRefusal(result.answer, { status: 400, code: 'unsupported_parameter', param })
    await expectNothingHappened(product, result)
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
  ])('A value that servers read differently is refused by name: %s.', async ([rest, param]) => {
    const result = await call(written(rest))
    expectRefusal(result.answer, { status: 400, code: 'invalid_request', param })
    await expectNothingHappened(product, result)
  })
})

test('The refusal of a member says what to do.', async () => {
  const { answer } = await call(written(',"top_n":3'))
  expect(answer.json().detail).toBe(
    "'top_n' is not a parameter that OpenAI is known to take. Leave it out, or ask the operator for drop_params: true or allowed_openai_params: ['top_n'].",
  )
  const folded = await call(written(',"Top_P":1'))
  expect(folded.answer.json().detail).toBe(
    "'Top_P' is not a member of a request. Write 'top_p' if you mean that one, or leave it out.",
  )
})

test('Thirty thousand members that nobody knows are refused, or left out, in no time.', async () => {
  const many = Array.from({ length: 30_000 }, (_, n) => `"a${n}":0`).join()
  const begun = performance.now()
  const { answer } = await call(written(`,${many}`))
  expectRefusal(answer, { status: 400, code: 'unsupported_parameter', param: 'a0' })
  const dropped = await call(written(`,${many}`, 'dropping'))
  expect(dropped.sent).toEqual([written('')])
  const twice = await call(written(`,${many},"a0":1`))
  expectRefusal(twice.answer, { status: 400, code: 'invalid_request', param: 'a0' })
  expect(performance.now() - begun).toBeLessThan(15_000)
})
