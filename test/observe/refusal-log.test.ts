/** Nobody fills the log by being refused. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { cutStrings } from '../../src/observe/cut-strings.ts'
import { createLog } from '../../src/observe/log.ts'
import { createRefusalLog } from '../../src/observe/refusal-log.ts'
import { useDatabase } from '../support/database.ts'
import { serveInProcess } from './serve-in-process.ts'

const db = useDatabase()

function capture() {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const lines: Record<string, unknown>[] = []
  const log = createLog('trace', new Map(), { write: (line) => void lines.push(JSON.parse(line)) })
  return { lines, refusals: createRefusalLog(log) }
}

test('Ten of each code are logged in a second, the rest is one count at its end.', () => {
  const { lines, refusals } = capture()
  for (let n = 0; n < 1_000; n += 1) refusals.refused({ status: 401, code: 'invalid_api_key' })
  for (let n = 0; n < 10; n += 1) refusals.refused({ status: 404, code: 'not_found' })
  for (let n = 0; n < 12; n += 1) refusals.failed({ status: 503, code: 'draining' }, 'shutting down')
  expect(lines.map(({ code }) => code)).toEqual([
    ...Array(10).fill('invalid_api_key'),
    ...Array(10).fill('not_found'),
    ...Array(10).fill('draining'),
  ])
  lines.length = 0
  vi.advanceTimersByTime(1_000)
  expect(lines).toMatchObject([
    { level: 'warn', code: 'invalid_api_key', left_out: 990 },
    { level: 'warn', code: 'draining', left_out: 2 },
  ])
  lines.length = 0
  refusals.refused({ status: 401, code: 'invalid_api_key' })
  vi.advanceTimersByTime(1_000)
  expect(lines).toMatchObject([{ level: 'info', code: 'invalid_api_key', msg: 'refused' }])
})

test('Codes a provider makes up have sixty lines a second between them, not ten each.', () => {
  const { lines, refusals } = capture()
  for (let n = 0; n < 10_000; n += 1) refusals.refused({ status: 400, code: `made_up_${n}` })
  expect(lines).toHaveLength(60)
  vi.advanceTimersByTime(1_000)
  expect(lines.at(-1)).toMatchObject({ code: 'other', left_out: 10_000 - 60 })
})

test.each([
  ['a text', { a: 'x'.repeat(5_000) }, { a: `${'x'.repeat(10)}…` }],
  ['a name', { ['x'.repeat(5_000)]: 1 }, { [`${'x'.repeat(10)}…`]: 1 }],
  [
    'escapes',
    { a: '\u0001"\\\n'.repeat(100), b: '0123456789' },
    { a: `${'\u0001"\\\n'.repeat(2)}\u0001"…`, b: '0123456789' },
  ],
  ['deep down', [[{ a: ['x'.repeat(11), 'y'] }]], [[{ a: [`${'x'.repeat(10)}…`, 'y'] }]]],
  ['what fits', { a: '"123456789', b: '' }, { a: '"123456789', b: '' }],
])('A line is JSON after it was cut: %s.', (_, value, cut) => {
  expect(JSON.parse(cutStrings(JSON.stringify(value), 10))).toEqual(cut)
})

test('What a caller chooses is cut, in every line and at every place.', async () => {
  const tollgate = await serveInProcess(db.url, 'http://127.0.0.1:9', 'sk-test')
  const { keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const long = 'a'.repeat(12_000)
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${tollgate.url}${path}`, { ...init, headers: { authorization: `Bearer ${keys.alice}`, ...init.headers } })
  await ask(`/${long}`)
  await ask(`/${'%c3%a9'.repeat(2_000)}`)
  await ask(`/v1/models/${long}`)
  await ask('/v1/models', { headers: { authorization: `Bearer ${long}` } })
  await ask('/v1/chat/completions', { method: 'POST', body: JSON.stringify({ model: long.repeat(10), messages: [] }) })
  expect(tollgate.lines.length).toBeGreaterThanOrEqual(5)
  for (const line of tollgate.lines) {
    expect(() => JSON.parse(line)).not.toThrow()
    expect(line.length).toBeLessThan(2_000)
  }
  expect(tollgate.lines.join('')).toContain(`"path":"/${'a'.repeat(1_023)}…"`)
})
