/** Requests that a server written in Go may read otherwise than we do: made by a seed, and read by the real encoding/json. */
import { seededRandom } from '../support/splits.ts'
import type { GoRead, GoReader } from './go-reader.ts'
import { INPUT, says, usageOf } from './provider.ts'
import { type Provider, refused, type Trick } from './trick.ts'

const SEED = 11
const BATCHES = 10
const BATCH = 20
const LIMIT = 16_384

export function goTricks(reader: GoReader): readonly Trick[] {
  const random = seededRandom(SEED)
  const batches = Array.from({ length: BATCHES }, () => Array.from({ length: BATCH }, () => oddBody(random)))
  return [
    ...batches.map(
      (bodies, index): Trick => ({
        name: `${BATCH} requests that Go may read otherwise, ${index + 1} of ${BATCHES}`,
        by: 'caller',
        async act({ call }) {
          for (const text of bodies) await call({ text })
        },
        provider: goProvider(reader),
        // All that is not refused is charged at what Go makes of it.
        promise: { kind: 'charged', least: 'true', most: 'true' },
      }),
    ),
    {
      name: 'a cap that Go reads by another name',
      by: 'caller',
      act: { text: bodyOf(['"max_tokens":1', '"MAX_TOKENS":9000']) },
      provider: goProvider(reader),
      promise: refused('invalid_request'),
    },
  ]
}

/** Writes all it may, in each choice, as Go reads it; a token a byte of what it was told. */
function goProvider(reader: GoReader): Provider {
  return async (request, call) => {
    const read = await reader.read(request.body)
    if (read.error !== undefined) return { script: { status: 400, frames: [read.error] }, bill: null }
    const output = outputOf(read)
    const bill = { input: INPUT + read.bytes, output, tier: read.tier === 'priority' ? 200 : 100 }
    const usage = usageOf(bill.input, output)
    // The shape of the answer is what Go takes `stream` for.
    return says(usage, bill)({ ...request, json: { stream: read.stream } }, call)
  }
}

function outputOf({ maxCompletionTokens, maxTokens, n }: GoRead): number {
  const cap = Math.max(maxCompletionTokens ?? 0, maxTokens ?? 0)
  return Math.min(cap === 0 ? LIMIT : cap, LIMIT) * (n ?? 1)
}

const MEMBERS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['max_tokens', ['5', '9000', '5.0', '1e3', 'null', '"7"', '0']],
  ['max_completion_tokens', ['6', '8000', 'null', '-1']],
  ['n', ['1', '2', '2.0', '20', 'null', 'true']],
  ['stream', ['true', 'false', 'null', '0']],
  ['service_tier', ['"default"', '"auto"', 'null', '"PRIORITY"']],
  ['messages', ['[{"role":"user","content":"longer than the other one, by far"}]', '[]']],
]

/** Two to four members, some of them under a name that is folded, escaped or the one before. */
function oddBody(random: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const members = Array.from({ length: 2 + Math.floor(random() * 3) }, () => {
    const [name, values] = pick(MEMBERS.slice(0, random() < 0.9 ? -1 : undefined))
    return `"${random() < 0.25 ? pick(SPELLINGS)(name) : name}":${pick(values)}`
  })
  return bodyOf(members)
}

const SPELLINGS: readonly ((name: string) => string)[] = [
  (name) => name.toUpperCase(),
  (name) => name.replace('s', '\u017f'),
  (name) => name.replace('k', '\u212a'),
  (name) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
  (name) => `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`,
  (name) => `${name} `,
]

function bodyOf(members: readonly string[]): string {
  return `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello"}],${members.join()}}`
}
