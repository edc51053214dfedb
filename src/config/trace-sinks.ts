/**
 * `callbacks`, `success_callback` and `failure_callback`: where calls are told of as OpenTelemetry spans, over OTLP and HTTP. A name that
 * means something else, or whose keys are missing, is said to have no effect.
 */
import type { Field, Section } from './field.ts'
import { NO_EFFECT, showName } from './problem.ts'
import { isGuard } from './protections.ts'
import type { Source } from './source.ts'
import type { TraceSink } from './trace-sink.ts'

const PLACES = ['callbacks', 'success_callback', 'failure_callback'] as const
/** /metrics has it, whatever is written. */
const METRICS = new Set(['prometheus', 'prometheus_system'])
const HEADER = /^[\w-]+$/
const VALUE = /^[\x20-\x7e]+$/

/** A sink, or the variables it misses. */
type Reads = (variable: (...names: string[]) => string | null) => Omit<TraceSink, 'name'> | string

const READERS: Readonly<Record<string, Reads>> = {
  otel: (variable) => {
    const exact = variable('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')
    const base = exact ?? variable('OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_ENDPOINT')
    if (base === null) return 'OTEL_EXPORTER_OTLP_ENDPOINT'
    const headers = variable('OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_HEADERS') ?? ''
    return { url: exact ?? tracesAt(base), headers: headersIn(headers) }
  },
  langfuse: readLangfuse,
  langfuse_otel: readLangfuse,
  arize: (variable) => {
    const [space, key] = [variable('ARIZE_SPACE_ID', 'ARIZE_SPACE_KEY'), variable('ARIZE_API_KEY')]
    if (space === null || key === null) return 'ARIZE_SPACE_ID and ARIZE_API_KEY'
    return {
      url: variable('ARIZE_HTTP_ENDPOINT') ?? 'https://otlp.arize.com/v1/traces',
      headers: { space_id: space, api_key: key },
    }
  },
  arize_phoenix: (variable) => {
    const [url, key] = [
      variable('PHOENIX_COLLECTOR_HTTP_ENDPOINT', 'PHOENIX_COLLECTOR_ENDPOINT'),
      variable('PHOENIX_API_KEY'),
    ]
    if (url === null) return 'PHOENIX_COLLECTOR_HTTP_ENDPOINT'
    return { url: tracesAt(url), headers: key === null ? {} : { authorization: `Bearer ${key}` } }
  },
}

function readLangfuse(variable: (...names: string[]) => string | null): ReturnType<Reads> {
  const [open, secret] = [variable('LANGFUSE_PUBLIC_KEY'), variable('LANGFUSE_SECRET_KEY')]
  if (open === null || secret === null) return 'LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY'
  const host = variable('LANGFUSE_OTEL_HOST', 'LANGFUSE_HOST', 'LANGFUSE_BASE_URL') ?? 'https://cloud.langfuse.com'
  const credentials = Buffer.from(`${open}:${secret}`).toString('base64')
  return {
    url: `${host.replace(/\/+$/, '')}/api/public/otel/v1/traces`,
    headers: { authorization: `Basic ${credentials}` },
  }
}

/** One for each name, wherever and however often it stands. */
export function readTraceSinks(litellm: Section): TraceSink[] {
  const sinks = new Map<string, TraceSink>()
  for (const field of PLACES.map((place) => litellm.take(place))) {
    const names = field.isList ? field.list() : field.empty ? [] : [field]
    for (const place of names) {
      const name = place.rawText()
      const sink = name === null ? null : readSink(name, place)
      if (sink !== null && !sinks.has(sink.url)) sinks.set(sink.url, sink)
    }
  }
  return [...sinks.values()]
}

function readSink(name: string, place: Field): TraceSink | null {
  if (METRICS.has(name)) return null
  const reads = Object.hasOwn(READERS, name) ? READERS[name] : undefined
  if (reads === undefined) {
    // Said already, and louder.
    if (place.path.includes('.callbacks') && isGuard(name)) return null
    const fix = `nothing is sent to it; known here: ${[...Object.keys(READERS), 'prometheus'].join(', ')}`
    const path = `${place.path.replace(/\[\d+\]$/, '')}.${showName(name)}`
    place.source.report({ severity: 'warning', line: place.line, path, message: NO_EFFECT, fix })
    return null
  }
  const read = reads((...names) => firstOf(place.source, names))
  if (typeof read === 'string') {
    place.warn(`no spans are sent: ${read} is not set`, `set ${read} before the start`)
    return null
  }
  const isSound = URL.canParse(read.url) && /^https?:$/.test(new URL(read.url).protocol)
  if (isSound && Object.values(read.headers).every((value) => VALUE.test(value))) return { name, ...read }
  place.warn(
    'no spans are sent: its address is no http(s) URL, or a header of its can not be sent',
    'correct the environment variables; spans go over OTLP and HTTP, not gRPC',
  )
  return null
}

function firstOf(source: Source, names: readonly string[]): string | null {
  for (const name of names) {
    const value = source.variable(name)
    if (value !== null) return value.trim()
  }
  return null
}

function tracesAt(base: string): string {
  const address = base.replace(/\/+$/, '')
  return address.endsWith('/v1/traces') ? address : `${address}/v1/traces`
}

/** `name=value,name=value`, values percent-encoded, as OpenTelemetry writes them. */
function headersIn(text: string): Record<string, string> {
  const pairs = text
    .split(',')
    .map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()])
  return Object.fromEntries(
    pairs.flatMap(([name = '', value = '']) => (HEADER.test(name) ? [[name.toLowerCase(), decoded(value)]] : [])),
  )
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
