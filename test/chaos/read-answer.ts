/** What a caller can tell from an answer, whole or broken off. */
import type { IncomingMessage } from 'node:http'
import type { Seen } from './calls.ts'

interface Body {
  choices?: {
    delta?: { content?: string | null }
    message?: { content?: string | null }
    finish_reason?: string | null
  }[]
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null
  error?: { code?: string | null } | null
}

export function readAnswer(incoming: IncomingMessage, text: string): Seen {
  const { statusCode: status = 0, headers, complete } = incoming
  const seen: Seen = {
    status,
    whole: false,
    code: null,
    words: 0,
    finish: null,
    costs: [],
    stated: null,
    pending: headers['x-tollgate-settlement'] === 'pending',
  }
  const credits = headers['x-credits-used']
  if (typeof credits === 'string') seen.costs.push(scaled(credits, 6))
  if (!String(headers['content-type']).startsWith('text/event-stream')) {
    seen.whole = complete
    if (complete) take(seen, text)
    return seen
  }
  if (text.includes(': settlement pending\n\n')) seen.pending = true
  // What stands behind the last empty line has not arrived in whole.
  for (const frame of text.split('\n\n').slice(0, -1)) {
    if (!frame.startsWith('data:')) continue
    const data = frame.slice(5).trim()
    if (data === '[DONE]') seen.whole = complete
    else take(seen, data)
  }
  if (seen.code !== null) seen.whole = complete
  return seen
}

function take(seen: Seen, json: string): void {
  const { choices, usage, error } = JSON.parse(json) as Body
  for (const { delta, message, finish_reason: finish } of choices ?? []) {
    const content = (delta ?? message)?.content ?? ''
    seen.words += content.split(' ').length - 1
    seen.finish = finish ?? seen.finish
  }
  if (usage !== undefined && usage !== null) {
    seen.stated = { input: usage.prompt_tokens ?? -1, output: usage.completion_tokens ?? -1 }
    const cost = /"cost": ?([\d.]+)/.exec(json)?.[1]
    if (cost !== undefined) seen.costs.push(scaled(cost, 9))
  }
  if (error !== undefined && error !== null) seen.code = error.code ?? 'unnamed'
}

/** A decimal as an integer of its smallest unit: exact, and an error where it has more digits. */
export function scaled(decimal: string, digits: number): bigint {
  const [whole = '', fraction = ''] = decimal.split('.')
  if (!/^-?\d+$/.test(whole) || !/^\d*$/.test(fraction) || fraction.length > digits) {
    throw new Error(`${decimal} is no decimal with at most ${digits} digits`)
  }
  const magnitude = BigInt(whole.replace('-', '') + fraction.padEnd(digits, '0'))
  return whole.startsWith('-') ? -magnitude : magnitude
}
