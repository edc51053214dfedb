/** Session cookies that nobody has cost the database no more than keys that nobody has. */
import { expect, test } from 'vitest'
import { createUnknownKeys } from '../../src/admission/unknown-keys.ts'
import { createSessions } from '../../src/identity/session/sessions.ts'

const SETTINGS = { cookie: 'session_token', prefix: 's:', seconds: 7_200, redisUrl: null, adminRoles: ['admin'] }
const MOST = 3

function openSessions() {
  const asked: string[] = []
  let answer: (token: string) => Promise<unknown> = () => Promise.resolve(null)
  const store = {
    find(token: string) {
      asked.push(token)
      return answer(token)
    },
    save: () => Promise.resolve(),
    remove: () => Promise.resolve(),
  }
  let time = 0
  const sessions = createSessions({
    settings: SETTINGS,
    store,
    findPrincipal: () => Promise.resolve({} as never),
    requireSameSite: () => {},
    unknownKeys: createUnknownKeys(MOST, () => time),
    now: () => time,
  })
  return {
    asked,
    answerWith: (next: typeof answer) => {
      answer = next
    },
    pass: (ms: number) => {
      time += ms
    },
    find: (token: string, address = '192.0.2.1') =>
      sessions.find({ headers: { cookie: `session_token=${token.padEnd(40, 'x')}` }, method: 'GET' } as never, address),
  }
}

test('Beyond the limit the unknown sessions of an address wait until nobody else is looked up; other addresses and known sessions pass.', async () => {
  const { asked, answerWith, pass, find } = openSessions()
  answerWith(() => Promise.resolve({ user: { user_id: 'alice' } }))
  await find('alice')
  answerWith(() => Promise.resolve(null))
  for (let n = 0; n < MOST; n += 1) await expect(find(`no${n}`)).rejects.toMatchObject({ status: 401 })
  await expect(find('one-more')).rejects.toMatchObject({ status: 429, limit: 'unknown_keys' })
  expect(asked).toHaveLength(MOST + 2)
  const waiting = Promise.withResolvers<unknown>()
  answerWith(() => waiting.promise)
  const other = find('bob', '192.0.2.2')
  await expect(find('again')).rejects.toMatchObject({ status: 429 })
  expect(asked).toHaveLength(MOST + 3)
  pass(1_500)
  const alice = find('alice')
  expect(asked).toHaveLength(MOST + 4)
  waiting.resolve({ user: { user_id: 'alice' } })
  await Promise.all([other, alice])
})
