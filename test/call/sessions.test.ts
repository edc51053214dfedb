/** Which session a call belongs to, by what known clients send and what the operator maps: on its row, and in the lists of calls. */
import { describe, expect, test } from 'vitest'
import { sessionOf } from '../../src/call/session.ts'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { get, postChat } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

type Json = Record<string, unknown>

const product = useProduct(() => ({ tollgate: { session_headers: ['X-Conversation'] } }))
const ID = '01a22f69-7772-7283-bfed-f412f63dfa4b'
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

async function seeded() {
  product.upstream.respond(chat())
  const { id, keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  return { id, key: keys.alice as string }
}

async function call(key: string, headers: Record<string, string>, more: Json = {}): Promise<string> {
  const answer = await postChat(product.tollgate, key, { ...HELLO, ...more }, { headers })
  expect([answer.status, answer.body]).toEqual([200, expect.any(String)])
  return answer.headers.get('x-litellm-call-id') as string
}

const metadata = { 'x-codex-turn-metadata': JSON.stringify({ session_id: ID, turn_id: 'x' }) }

describe('what clients send', () => {
  const read = (headers: Record<string, string>, json: Json = {}) => sessionOf(headers, json, ['x-conversation'])
  test.each<[string, Record<string, string>, Json]>([
    ['the operator’s own header', { 'x-conversation': ID, 'x-session-id': 'other' }, {}],
    ['x-session-id', { 'x-session-id': ID }, {}],
    ['LiteLLM’s callers', { 'x-litellm-session-id': ID }, {}],
    ['Codex', { 'session-id': ID, 'thread-id': 'x', ...metadata }, {}],
    ['Codex behind a proxy that passes its metadata alone', metadata, {}],
    ['an older Codex', { session_id: ID }, {}],
    ['Codex in its body', {}, { client_metadata: { session_id: ID } }],
    ['Open WebUI', { 'x-openwebui-chat-id': ID, 'x-openwebui-user-id': 'u' }, {}],
    ['metadata', {}, { metadata: { session_id: ID } }],
    ['LiteLLM’s member', {}, { litellm_session_id: ID }],
    ['OpenRouter’s member', {}, { session_id: ID }],
    ['Claude Code in its body', {}, { metadata: { user_id: JSON.stringify({ device_id: 'd', session_id: ID }) } }],
    ['an older Claude Code', {}, { metadata: { user_id: `user_0f1e_account__session_${ID}` } }],
  ])('The session is read from %s.', (_, headers, json) => {
    expect(read(headers, json)).toEqual({ session_id: ID })
  })

  test('Claude Code names the agent that called, and the agent that started it.', () => {
    const headers = {
      'x-claude-code-session-id': ID,
      'x-claude-code-agent-id': 'a-2',
      'x-claude-code-parent-agent-id': 'a-1',
    }
    expect(read(headers)).toEqual({ session_id: ID, agent_id: 'a-2', parent_agent_id: 'a-1' })
  })

  test.each<[string, Record<string, string>, Json, string | null]>([
    ['nothing', {}, {}, null],
    ['white space', { 'x-session-id': ' \t ' }, {}, null],
    ['numbers and objects', {}, { metadata: { session_id: 5, user_id: {} }, session_id: [] }, null],
    ['a list in the place of metadata', {}, { metadata: [ID] }, null],
    ['a user that is JSON of something else', {}, { metadata: { user_id: '{"a":1}' } }, null],
    ['broken JSON', { 'x-codex-turn-metadata': '{"session_id":' }, { metadata: { user_id: '{' } }, null],
    ['what has no end', { 'x-session-id': 'y'.repeat(500_000) }, {}, 'y'.repeat(200)],
    ['NUL and a lone surrogate', {}, { session_id: 'a\0b\ud800c' }, 'ab\ufffdc'],
    ['a long one', { 'x-session-id': 'x'.repeat(1_000) }, {}, 'x'.repeat(200)],
    ['letters beyond ASCII', { 'x-session-id': Buffer.from('grün').toString('latin1') }, {}, 'grün'],
    ['quotes', { 'x-session-id': "'; drop table x; --" }, {}, "'; drop table x; --"],
  ])('An odd session does no harm: %s.', (_, headers, json, expected) => {
    expect(read(headers, json)?.session_id ?? null).toBe(expected)
  })
})

describe('what is recorded', () => {
  test('The row of a call has its session, and the lists of calls show it and find its calls.', async () => {
    const { id, key } = await seeded()
    const first = await call(key, { 'X-Conversation': ID })
    const second = await call(
      key,
      { 'x-claude-code-session-id': ID, 'x-claude-code-agent-id': 'a-2' },
      { stream: true },
    )
    await call(key, { 'session-id': 'another' })
    await call(key, {})
    const rows = (await rowsOf(product.db.pool, id)).map(({ details }) => String((details as Json).session_id))
    expect(Object.groupBy(rows, (one) => one)).toEqual({
      [ID]: [ID, ID],
      another: ['another'],
      undefined: ['undefined'],
    })

    const found = (await get(product.tollgate, key, `/v1/calls/${second}`)).json()
    expect(found).toMatchObject({ session_id: ID, details: { agent_id: 'a-2' } })
    const list = async (query: string) =>
      (await get(product.tollgate, key, `/api/v1/llm/credits/history?${query}`)).json() as {
        total: number
        transactions: Json[]
      }
    expect((await list('limit=10')).transactions.map(({ session_id }) => session_id ?? null)).toEqual(
      expect.arrayContaining([ID, 'another', null]),
    )
    const own = await list(`session_id=${ID}`)
    expect([own.total, own.transactions.map(({ session_id }) => session_id)]).toEqual([2, [ID, ID]])
    const usage = await get(product.tollgate, key, `/api/v1/org-billing/usage/${id}/alice?session_id=${ID}`)
    expect(new Set((usage.json().usage as Json[]).map((row) => String(row.id)))).toEqual(new Set([first, second]))
  })

  test('An odd session is booked as it is bounded, and a call without a session is charged all the same.', async () => {
    const { id, key } = await seeded()
    await call(key, { 'x-session-id': 'x'.repeat(4_000) })
    await call(key, {}, { metadata: { session_id: 'a\0b' } })
    const rows = await rowsOf(product.db.pool, id)
    expect(new Set(rows.map(({ details }) => String((details as Json).session_id)))).toEqual(
      new Set(['ab', 'x'.repeat(200)]),
    )
    expect(rows.map(({ outcome }) => outcome)).toEqual(['answered', 'answered'])
  })

  test('A search for a session uses its index.', async () => {
    const client = await product.db.pool.connect()
    try {
      await client.query('set enable_seqscan = off')
      const { rows } = await client.query<Record<'QUERY PLAN', string>>(
        `explain select 1 from credit_usage_attribution
          where org_id = '${ID}' and user_id = 'alice' and details ->> 'session_id' = 'x'`,
      )
      expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('idx_credit_usage_session')
    } finally {
      await client.query('reset enable_seqscan')
      client.release()
    }
  })
})
