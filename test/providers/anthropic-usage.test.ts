import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { laterUsage, readClaudeUsage } from '../../providers/anthropic/usage.ts'
import { inputTokens, NO_USAGE, outputTokens } from '../../providers/usage.ts'

const MODEL = 'claude-sonnet-4-6'
const read = (raw: unknown) => readClaudeUsage(raw, MODEL)

describe("Claude's usage", () => {
  test("Claude's usage leaves cached tokens out of its input, and tells how long they were written for.", () => {
    const raw = {
      input_tokens: 3,
      cache_read_input_tokens: 100,
      cache_creation_input_tokens: 70,
      cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 50 },
      output_tokens: 9,
      output_tokens_details: { thinking_tokens: 4 },
      server_tool_use: { web_search_requests: 2, web_fetch_requests: 5 },
      service_tier: 'standard',
    }
    expect(read(raw)).toEqual({
      usage: {
        ...NO_USAGE,
        input: 3,
        cacheRead: 100,
        cacheWrite5m: 20,
        cacheWrite1h: 50,
        output: 9,
        reasoning: 4,
        toolFees: { web_search: 2 },
      },
      consistent: true,
      serviceTier: 'standard',
      byModel: null,
    })
  })

  test.each<[string, unknown, unknown]>([
    ['no split', { cache_creation_input_tokens: 7 }, { cacheWrite5m: 7, cacheWrite1h: 0 }],
    ['nulls', { cache_creation_input_tokens: null, cache_read_input_tokens: null, cache_creation: null }, {}],
    ['a split alone', { cache_creation: { ephemeral_1h_input_tokens: 5 } }, { cacheWrite1h: 5 }],
  ])("Claude's usage is read with %s.", (_, raw, expected) => {
    expect(read({ input_tokens: 1, output_tokens: 1, ...(raw as object) })?.usage).toMatchObject(expected as object)
  })

  test("Claude's usage whose split does not make up the total is charged for the total, and said to be inconsistent.", () => {
    const raw = (hour: number, minutes: number) => ({
      input_tokens: 1,
      output_tokens: 1,
      cache_creation_input_tokens: 100,
      cache_creation: { ephemeral_1h_input_tokens: hour, ephemeral_5m_input_tokens: minutes },
    })
    expect(read(raw(40, 0))).toMatchObject({ usage: { cacheWrite1h: 100, cacheWrite5m: 0 }, consistent: false })
    expect(read(raw(40, 10))).toMatchObject({ usage: { cacheWrite1h: 40, cacheWrite5m: 60 }, consistent: false })
    expect(read(raw(400, 0))).toMatchObject({ usage: { cacheWrite1h: 100, cacheWrite5m: 0 }, consistent: false })
  })

  test.each([
    null,
    5,
    {},
    { input_tokens: 1 },
    { output_tokens: 1 },
    { input_tokens: -1, output_tokens: 1 },
    { input_tokens: 1.5, output_tokens: 1 },
    { input_tokens: '1', output_tokens: 1 },
  ])("Claude's usage that states nothing usable is none: %j.", (raw) => {
    expect(read(raw)).toBeNull()
  })

  test("Claude's usage in iterations is their sum, cached parts included.", () => {
    const raw = {
      input_tokens: 181,
      output_tokens: 8,
      iterations: [
        { type: 'compaction', input_tokens: 100, output_tokens: 83, cache_read_input_tokens: 55_096 },
        { type: 'message', input_tokens: 181, output_tokens: 8 },
      ],
    }
    expect(read(raw)).toMatchObject({
      usage: { input: 281, cacheRead: 55_096, output: 91 },
      consistent: true,
      byModel: null,
    })
  })

  test("Claude's usage of several models is told apart, fees and thoughts with the one that answered.", () => {
    const raw = {
      input_tokens: 30,
      output_tokens: 12,
      output_tokens_details: { thinking_tokens: 5 },
      server_tool_use: { web_search_requests: 1 },
      iterations: [
        { type: 'message', input_tokens: 10, output_tokens: 10 },
        { type: 'advisor_message', model: 'claude-opus-4-8', input_tokens: 100, output_tokens: 7 },
        { type: 'message', input_tokens: 20, output_tokens: 2 },
      ],
    }
    expect(read(raw)).toMatchObject({
      usage: { input: 130, output: 19, reasoning: 5, toolFees: { web_search: 1 } },
      byModel: [
        { model: MODEL, usage: { input: 30, output: 12, reasoning: 5, toolFees: { web_search: 1 } } },
        { model: 'claude-opus-4-8', usage: { input: 100, output: 7, reasoning: 0, toolFees: {} } },
      ],
    })
  })

  test("Claude's usage of a model that declined before it wrote anything is not billed.", () => {
    const iterations = [
      { type: 'message', model: 'claude-fable-5', input_tokens: 408, output_tokens: 0 },
      { type: 'fallback_message', model: MODEL, input_tokens: 412, output_tokens: 264 },
    ]
    expect(read({ input_tokens: 412, output_tokens: 264, iterations })).toMatchObject({
      usage: { input: 412, output: 264 },
      byModel: null,
    })
    const wrote = [{ ...iterations[0], output_tokens: 3 }, iterations[1]]
    expect(read({ input_tokens: 412, output_tokens: 264, iterations: wrote })?.usage).toMatchObject({
      input: 820,
      output: 267,
    })
  })

  test("Claude's usage with iterations that can not be read is what stands at the top, and inconsistent.", () => {
    const raw = { input_tokens: 5, output_tokens: 1, iterations: [{ input_tokens: 'x' }] }
    expect(read(raw)).toMatchObject({ usage: { input: 5, output: 1 }, consistent: false })
  })

  test("Claude's usage says where it was served, which has a price.", () => {
    const tier = (rest: object) => read({ input_tokens: 1, output_tokens: 1, ...rest })?.serviceTier
    expect(tier({})).toBeNull()
    expect(tier({ inference_geo: 'us' })).toBe('standard us')
    expect(tier({ service_tier: 'batch', inference_geo: 'us' })).toBe('batch us')
    expect(tier({ service_tier: 'standard', inference_geo: 'global' })).toBe('standard')
  })

  test("Claude's usage in a stream is what was said last, member by member.", () => {
    const start = { input_tokens: 43, output_tokens: 1, cache_creation: { ephemeral_1h_input_tokens: 5 } }
    expect(laterUsage(start, { input_tokens: 61, output_tokens: 2, cache_read_input_tokens: null })).toEqual({
      ...start,
      input_tokens: 61,
      output_tokens: 2,
    })
    expect(laterUsage(start, undefined)).toEqual(start)
    expect(laterUsage(null, start)).toEqual(start)
  })
})

test('Buckets are disjoint and sum to what was stated, whatever was stated.', () => {
  const tokens = fc.nat(1_000_000)
  const counts = fc.record({ input: tokens, output: tokens, read: tokens, minutes: tokens, hour: tokens })
  const raw = (c: { input: number; output: number; read: number; minutes: number; hour: number }) => ({
    input_tokens: c.input,
    output_tokens: c.output,
    cache_read_input_tokens: c.read,
    cache_creation_input_tokens: c.minutes + c.hour,
    cache_creation: { ephemeral_5m_input_tokens: c.minutes, ephemeral_1h_input_tokens: c.hour },
  })
  fc.assert(
    fc.property(counts, fc.array(counts, { maxLength: 4 }), (top, parts) => {
      const stated = read({ ...raw(top), ...(parts.length > 0 ? { iterations: parts.map(raw) } : {}) })
      const all = parts.length > 0 ? parts : [top]
      const sum = (pick: (c: typeof top) => number) => all.reduce((total, c) => total + pick(c), 0)
      expect(inputTokens(stated!.usage)).toBe(sum((c) => c.input + c.read + c.minutes + c.hour))
      expect(outputTokens(stated!.usage)).toBe(sum((c) => c.output))
      expect(stated!.consistent).toBe(true)
    }),
  )
})
