/** Structured logs on standard error: one line a call, no prompt text, no secrets. */
import pino from 'pino'

export type Log = pino.Logger
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export function createLog(
  level: LogLevel,
  destination: pino.DestinationStream = pino.destination({ fd: 2, sync: false }),
): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
      redact: {
        paths: ['authorization', '*.authorization', 'apiKey', '*.apiKey', 'headers', '*.headers'],
        censor: '[redacted]',
      },
    },
    destination,
  )
}

/** Name, code and message of an error and its causes; of a database error no detail, which may quote values. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, message, cause } = error
  const code = (error as { code?: unknown }).code
  return {
    name,
    ...(typeof code === 'string' ? { code } : {}),
    message: withoutSecrets(message),
    stack: withoutSecrets(error.stack?.split('\n').slice(1, 6).join('\n') ?? ''),
    ...(cause === undefined ? {} : { cause: describeError(cause) }),
  }
}

/** Keys and passwords as they appear in messages of libraries. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/\b(?:sk|uc|gsk|xai|hf|pk)[-_][A-Za-z0-9_-]{6,}/g, '[key]')
    .replace(/(postgres(?:ql)?:\/\/[^:@/\s]*:)[^@\s]*@/g, '$1[redacted]@')
    .replace(/(bearer\s+)\S+/gi, '$1[redacted]')
}
