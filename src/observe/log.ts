/**
 * Structured logs on standard error: one line a call, no prompt text, no secrets. A line that is about a call says its `call_id`;
 * the id of the request it came by is added here, so that no line about a call lacks it. (Not by AsyncLocalStorage: what runs in a
 * socket's callback or in a batch of many calls would bear the id of whichever request opened the connection.)
 *
 * Whoever wrote it, a text in a line is cut to 1 024 characters (paths, names, what a provider said).
 */
import pino from 'pino'
import { cutStrings } from './cut-strings.ts'
import { withoutSecrets } from './without-secrets.ts'

export { withoutSecrets } from './without-secrets.ts'

export type Log = pino.Logger
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const TEXT_MAX = 1_024
/** First to this, so that what is searched for secrets is bounded; a secret that is cut in two here lies beyond what is kept. */
const SEARCHED_MAX = 8_192

/** The request id of each call that runs, by call id. */
export type RequestIds = ReadonlyMap<string, string>

/** @param base what each line says. */
export function createLog(
  level: LogLevel,
  requestIds: RequestIds = new Map(),
  destination: pino.DestinationStream = process.stderr,
  base: Readonly<Record<string, number>> | null = null,
): Log {
  return pino(
    {
      level,
      base,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
      // What the line itself says wins.
      mixin(line) {
        const requestId = requestIds.get((line as { call_id?: string }).call_id ?? '')
        return requestId === undefined ? {} : { request_id: requestId }
      },
      redact: { paths: ['headers', '*.headers'], censor: '[redacted]' },
      hooks: { streamWrite: presentable },
    },
    destination,
  )
}

function presentable(line: string): string {
  return cutStrings(withoutSecrets(cutStrings(line, SEARCHED_MAX)), TEXT_MAX)
}

/** Name, code and message of an error and its causes; of a database error no detail, which may quote values. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, message, cause } = error
  const code = (error as { code?: unknown }).code
  return {
    name,
    ...(typeof code === 'string' ? { code } : {}),
    message,
    stack: (error.stack?.match(/^ +at .*$/gm) ?? []).slice(0, 5).join('\n'),
    ...(cause === undefined ? {} : { cause: describeError(cause) }),
  }
}
