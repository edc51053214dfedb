/** Calls are told of to OpenTelemetry's collectors: by the conventions, with their cost, without a word of theirs, and never on their way. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { loadConfig } from '../../src/config/load.ts'
import { callTrace, type TracedCall } from '../../src/observe/call-trace.ts'
import type { TraceResult } from '../../src/observe/metrics.ts'
import { createTraces } from '../../src/observe/traces.ts'
import { useDatabase } from '../support/database.ts'
import { configFor, MASTER_KEY, postChat, startTollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chat, jsonAnswer } from '../support/upstream-answers.ts'

const CALL: TracedCall = {
  callId: 'c1',
  serviceType: 'llm_inference',
  traceparent: null,
  endedAt: 10_000,
  durationMs: 2_500,
  firstByteMs: 120.4,
  organizationId: 'o1',
  userId: 'u1',
  model: 'fast',
  upstreamModel: 'gemini-3-flash',
  provider: 'gemini',
  deploymentId: 'd1',
  stream: true,
  outcome: 'answered',
  retries: 1,
  bill: {
    microcredits: 1_234_567n,
    usage: { ...NO_USAGE, input: 100, cacheRead: 40, cacheWrite5m: 5, output: 20, reasoning: 8 },
    provenance: 'provider_usage',
    servedModel: 'gemini-3-flash-001',
    finishReasons: ['stop'],
  },
  error: null,
}

test('A call is described by the conventions for generative AI, its cost in members of our own.', () => {
  expect(callTrace(CALL)).toEqual({
    name: 'chat fast',
    startMs: 7_500,
    endMs: 10_000,
    traceparent: null,
    error: null,
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'gcp.gemini',
      'gen_ai.system': 'gcp.gemini',
      'gen_ai.request.model': 'fast',
      'gen_ai.response.model': 'gemini-3-flash-001',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 145,
      'gen_ai.usage.output_tokens': 20,
      'gen_ai.usage.cache_read.input_tokens': 40,
      'gen_ai.usage.cache_creation.input_tokens': 5,
      'tollgate.cost_usd': 0.001234567,
      'tollgate.credits': '1.234567',
      'tollgate.provenance': 'provider_usage',
      'tollgate.first_byte_ms': 120,
      'tollgate.call_id': 'c1',
      'tollgate.organization_id': 'o1',
      'tollgate.user_id': 'u1',
      'tollgate.deployment_id': 'd1',
      'tollgate.upstream_model': 'gemini-3-flash',
      'tollgate.outcome': 'answered',
      'tollgate.stream': true,
      'tollgate.retries': 1,
    },
  })
})

describe('where calls are told of', () => {
  const sinksOf = (settings: string, env: Record<string, string>) => {
    const text = `model_list: []\nlitellm_settings: {${settings}}`
    const { config, problems } = loadConfig(text, 'c', env, { embedded: true, providers: PROVIDERS })
    return { sinks: config?.traceSinks, said: problems.map(({ message, fix }) => `${message}. ${fix}`) }
  }

  test.each([
    [
      'callbacks: [otel]',
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://jaeger:4318/',
        OTEL_EXPORTER_OTLP_HEADERS: 'X-Team=blue%20one,bad name=1',
      },
      { name: 'otel', url: 'http://jaeger:4318/v1/traces', headers: { 'x-team': 'blue one' } },
    ],
    [
      'success_callback: [langfuse], failure_callback: langfuse_otel',
      { LANGFUSE_PUBLIC_KEY: 'pk', LANGFUSE_SECRET_KEY: 'sk', LANGFUSE_HOST: 'https://us.cloud.langfuse.com/' },
      {
        name: 'langfuse_otel',
        url: 'https://us.cloud.langfuse.com/api/public/otel/v1/traces',
        headers: { authorization: 'Basic cGs6c2s=' },
      },
    ],
    [
      'callbacks: arize',
      { ARIZE_SPACE_ID: 's', ARIZE_API_KEY: 'k' },
      { name: 'arize', url: 'https://otlp.arize.com/v1/traces', headers: { space_id: 's', api_key: 'k' } },
    ],
    [
      'callbacks: [arize_phoenix]',
      { PHOENIX_COLLECTOR_HTTP_ENDPOINT: 'https://phoenix.example.com', PHOENIX_API_KEY: 'k' },
      { name: 'arize_phoenix', url: 'https://phoenix.example.com/v1/traces', headers: { authorization: 'Bearer k' } },
    ],
  ])('{%s} sends spans to one place.', (settings, env, sink) => {
    const { sinks, said } = sinksOf(settings, env)
    expect([sinks?.map((one) => ({ ...one, name: sink.name })), said]).toEqual([[sink], []])
  })

  test('What has no effect, and what lacks its keys, is said; prometheus is /metrics.', () => {
    expect(
      sinksOf('callbacks: [prometheus, lago, langfuse, otel]', { OTEL_EXPORTER_OTLP_ENDPOINT: 'jaeger:4317' }),
    ).toEqual({
      sinks: [],
      said: [
        'accepted, has no effect here. nothing is sent to it; known here: otel, langfuse, langfuse_otel, arize, arize_phoenix, prometheus',
        'no spans are sent: LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY is not set. set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY before the start',
        'no spans are sent: its address is no http(s) URL, or a header of its can not be sent. correct the environment variables; spans go over OTLP and HTTP, not gRPC',
      ],
    })
  })
})

test('No more than 4096 calls wait: the rest is dropped and counted for each collector, and a collector that is away costs nothing else.', async () => {
  const counted: [TraceResult, number][] = []
  const failures: string[] = []
  const traces = createTraces({
    sinks: ['one', 'two'].map((name) => ({ name, url: 'http://127.0.0.1:1/v1/traces', headers: {} })),
    service: { name: 'tollgate', version: '1' },
    count: (result, spans) => counted.push([result, spans]),
    onFailure: (sink) => failures.push(sink),
  })
  const trace = callTrace(CALL)
  for (let call = 0; call < 4_098; call += 1) traces.tell(trace)
  expect(counted).toEqual([
    ['dropped', 2],
    ['dropped', 2],
  ])
  await traces.close()
  expect(counted.slice(2)).toEqual([
    ['failed', 4_096],
    ['failed', 4_096],
  ])
  expect(new Set(failures)).toEqual(new Set(['one', 'two']))
})

describe('the product', () => {
  const db = useDatabase()
  let upstream: ScriptedUpstream
  let collector: ScriptedUpstream
  beforeAll(async () => {
    upstream = await startUpstream(chat())
    collector = await startUpstream(jsonAnswer({}))
  })
  afterAll(() => Promise.all([upstream.close(), collector.close()]))

  test('A collector gets a span of each call, within the trace of its caller, and no word of its text.', async () => {
    const tollgate = await startTollgate({
      databaseUrl: db.url,
      config: JSON.stringify({
        ...JSON.parse(configFor(upstream.url, { litellm_settings: { callbacks: ['otel'] } })),
        environment_variables: {
          OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin,
          OTEL_EXPORTER_OTLP_HEADERS: 'x-team=blue',
          OTEL_SERVICE_NAME: 'our-gate',
        },
      }),
    })
    try {
      const traceId = '0af7651916cd43dd8448eb211c80319c'
      const answer = await postChat(
        tollgate,
        MASTER_KEY,
        { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'planted-prompt' }] },
        { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } },
      )
      const told = await collector.received(1)
      expect([told.method, told.path, told.headers['content-type'], told.headers['x-team']]).toEqual([
        'POST',
        '/v1/traces',
        'application/x-protobuf',
        'blue',
      ])
      const text = told.body.toString('latin1')
      for (const word of ['our-gate', 'chat gpt-4o-mini', 'gen_ai.usage.input_tokens', 'tollgate.cost_usd'])
        expect(text).toContain(word)
      expect(text).toContain(answer.headers.get('x-litellm-call-id'))
      expect(told.body.includes(Buffer.from(traceId, 'hex'))).toBe(true)
      expect(text).not.toContain('planted-prompt')
    } finally {
      await tollgate.stop()
    }
  })
})
