/** Streams as anybody reads them, without the product's own readers: events, their JSON, and what a frame says. */

export interface Json {
  [member: string]: unknown
}

export interface SseEvent {
  name: string | null
  data: string
  /** Null where the data is not a JSON object. */
  json: Json | null
}

/** Every event with data, comments left out; one that is cut off by the end counts. */
export function eventsOf(body: Buffer): SseEvent[] {
  const events: SseEvent[] = []
  let name: string | null = null
  let data: string[] = []
  for (const line of [...body.toString().split(/\r\n|\n|\r/), '']) {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
    else if (line.startsWith('event:')) name = line.slice(6).trim()
    else if (line === '') {
      const text = data.join('\n').trim()
      if (text !== '') events.push({ name, data: text, json: object(parse(text)) })
      name = null
      data = []
    }
  }
  return events
}

/** The events that say the stream failed. */
export function failures(events: readonly SseEvent[]): SseEvent[] {
  return events.filter(({ name, json }) => name === 'error' || (json?.error !== undefined && json.error !== null))
}

export interface Choice extends Json {
  index?: number
  finish_reason?: unknown
  delta?: Json
}

export function choicesOf(chunk: Json | null): Choice[] {
  return Array.isArray(chunk?.choices) ? (chunk.choices as Choice[]) : []
}

/**
 * What frames in OpenAI's dialect say, without what may change on the way: usage, roles, finish reasons (which are looked at by
 * themselves), members that say nothing, and frames of which then nothing is left.
 */
export function said(chunks: readonly Json[]): Json[] {
  return chunks.flatMap((chunk) => {
    // The model is the one that was asked for, whoever served.
    const {
      usage: _,
      usage_breakdown: __,
      x_groq: ___,
      object: ____,
      service_tier: _____,
      model: ______,
      choices,
      ...rest
    } = chunk
    const told = choicesOf(chunk).flatMap(saidByChoice)
    // A frame without choices has something else to say, unless it came for the usage.
    const bare = Array.isArray(choices) && choices.length === 0 && !hasUsage(chunk)
    return told.length > 0 || bare ? [{ ...meaningful(rest), choices: told }] : []
  })
}

export function hasUsage(chunk: Json): boolean {
  return object(chunk.usage) !== null || object(object(chunk.x_groq)?.usage) !== null
}

function saidByChoice({ finish_reason: _, delta, ...rest }: Choice): Json[] {
  const { role: __, ...said } = meaningful(delta ?? {})
  if (Object.keys(said).length === 0) return []
  const { native_finish_reason: ___, ...others } = meaningful(rest)
  return [{ ...others, delta: said }]
}

function meaningful(members: Json): Json {
  const says = (value: unknown) => value !== null && value !== '' && !(Array.isArray(value) && value.length === 0)
  return Object.fromEntries(Object.entries(members).filter(([, value]) => says(value)))
}

/** Places of members with these names, however deep: `choices[0].cost`. */
export function placesOf(value: unknown, names: ReadonlySet<string>, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => {
    const place = Array.isArray(value) ? `${at}[${key}]` : at === '' ? key : `${at}.${key}`
    const own = names.has(key) && member !== null && !Array.isArray(value) ? [place] : []
    return [...own, ...placesOf(member, names, place)]
  })
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function object(value: unknown): Json | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null
}
