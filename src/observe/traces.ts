/**
 * Tells collectors of calls, as OpenTelemetry spans in batches over OTLP and HTTP. Never on the way of a call: what is told waits in a list
 * of bounded length, and what finds it full is dropped and counted. Fails open: a collector that is away costs spans, and nothing else.
 */
import { type Attributes, type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { type ReadableSpan, TracerProvider } from '@opentelemetry/sdk-trace'
import { request } from 'undici'
import type { TraceSink } from '../config/trace-sink.ts'
import type { TraceResult } from './metrics.ts'

export interface CallTrace {
  name: string
  /** Milliseconds since 1970. */
  startMs: number
  endMs: number
  traceparent: string | null
  error: string | null
  attributes: Attributes
}

export interface Traces {
  /** Returns at once. */
  tell(call: CallTrace): void
  /** Sends what waits, and nothing more. */
  close(): Promise<void>
}

export interface TraceOptions {
  sinks: readonly TraceSink[]
  service: { name: string; version: string }
  /** Counts spans, each for every collector. */
  count(result: TraceResult, spans: number): void
  onFailure(sink: string, error: unknown): void
}

const WAITING_MAX = 4_096
const EVERY_MS = 2_000
const TIMEOUT_MS = 10_000

export function createTraces({ sinks, service, count, onFailure }: TraceOptions): Traces {
  const spans = createSpans(service)
  let waiting: CallTrace[] = []
  let sending: Promise<void> | null = null

  async function flush(): Promise<void> {
    const calls = waiting
    waiting = []
    const body = ProtobufTraceSerializer.serializeRequest(spans(calls))
    if (body === undefined) return
    await Promise.all(
      sinks.map(async (sink) => {
        const error = await send(sink, body)
        count(error === null ? 'sent' : 'failed', calls.length)
        if (error !== null) onFailure(sink.name, error)
      }),
    )
  }

  function start(): void {
    if (sending !== null || waiting.length === 0) return
    sending = flush().finally(() => {
      sending = null
    })
  }

  const timer = setInterval(start, EVERY_MS).unref()
  return {
    tell(call) {
      if (waiting.length < WAITING_MAX) waiting.push(call)
      else count('dropped', sinks.length)
    },
    async close() {
      clearInterval(timer)
      await sending
      start()
      await sending
    },
  }
}

/** Null where the collector took it. */
async function send({ url, headers }: TraceSink, body: Uint8Array): Promise<unknown> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const answer = await request(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-protobuf' },
      body,
      signal,
    })
    await answer.body.dump()
    return answer.statusCode < 300 ? null : new Error(`the collector answered ${answer.statusCode}`)
  } catch (error) {
    return error
  }
}

/** Calls as spans that began and ended when they did. */
function createSpans({ name, version }: TraceOptions['service']): (calls: readonly CallTrace[]) => ReadableSpan[] {
  let ended: ReadableSpan[] = []
  const nothing = async () => {}
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': name, 'service.version': version }),
    spanProcessors: [
      { onStart: () => {}, onEnd: (span) => void ended.push(span), forceFlush: nothing, shutdown: nothing },
    ],
  })
  const tracer = provider.getTracer('tollgate', version)
  return (calls) => {
    ended = []
    for (const call of calls) {
      const { attributes, startMs: startTime } = call
      const span = tracer.startSpan(call.name, { kind: SpanKind.CLIENT, startTime, attributes }, contextOf(call))
      if (call.error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: call.error })
      span.end(call.endMs)
    }
    return ended
  }
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** Below the span of the caller that it says it is in. */
function contextOf({ traceparent }: CallTrace): Context {
  const [, traceId, spanId] = TRACEPARENT.exec(traceparent ?? '') ?? []
  if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT
  // Sampled, whatever it says: whoever told us where to send spans wants each.
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true })
}
