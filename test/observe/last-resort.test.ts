import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { isOfOneCall } from '../../src/observe/last-resort.ts'

function thrownIn(...files: string[]): Error {
  const error = new Error('oops')
  error.stack = ['Error: oops', ...files.map((file) => `    at work (file:///app/${file}:1:2)`)].join('\n')
  return error
}

describe('an error that nobody owns', () => {
  test.each([
    ['of the relay', ['src/call/relay-stream.ts', 'node:internal/timers']],
    ['of a provider’s reader', ['providers/anthropic/stream.ts', 'src/call/relay-stream.ts']],
    ['of a library under a call', ['node_modules/undici/lib/core/request.js', 'src/call/upstream.ts']],
    ['of a counter', ['providers/estimate-text.ts']],
  ])('%s concerns one call only.', (_, files) => {
    expect(isOfOneCall(thrownIn(...files))).toBe(true)
  })

  test.each([
    ['of the ledger', ['src/ledger/shards.ts']],
    ['of the ledger, called by a call', ['src/ledger/shards.ts', 'src/call/settle-call.ts']],
    ['of the vault', ['src/vault/key-cache.ts', 'src/call/choose-keys.ts']],
    ['of a library alone', ['node_modules/pg/lib/client.js']],
    ['of a library’s own src', ['node_modules/hono/src/call/x.ts']],
    ['of nobody', []],
  ])('%s may concern all calls.', (_, files) => {
    expect(isOfOneCall(thrownIn(...files))).toBe(false)
  })

  test('A value that is thrown and is not an error may concern all calls.', () => {
    for (const thrown of ['text', null, undefined, 7, {}]) expect(isOfOneCall(thrown)).toBe(false)
  })

  test('An error that nobody owns is logged and counted and ends no process, whether thrown or rejected.', () => {
    const file = fileURLToPath(new URL('../../src/observe/last-resort.ts', import.meta.url))
    const script = `
      import { createLastResort } from ${JSON.stringify(file)}
      let count = 0
      const log = { error: ({ goes_on }) => console.log('logged', goes_on) }
      const { unsound, remove } = createLastResort(log, () => { count += 1 })
      unsound.then(() => console.log('unsound'))
      const error = new Error('x')
      error.stack = 'Error: x\\n    at f (file:///app/src/call/serve-call.ts:1:1)'
      setTimeout(() => { throw error }, 1)
      setTimeout(() => { void Promise.reject(error) }, 2)
      setTimeout(() => { throw new Error('of nobody') }, 3)
      setTimeout(() => { console.log('alive', count); remove() }, 50)
    `
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect([stdout, status]).toEqual(['logged true\nlogged true\nlogged false\nunsound\nalive 3\n', 0])
  })
})
