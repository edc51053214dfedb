/** Strangers share the event loop: what they ask at once is spread over its turns, and one network does not wait for another's flood. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createLoopTurns } from '../../src/admission/loop-turns.ts'

/** A task takes a millisecond of this clock. */
function loop() {
  let now = 0
  const done: string[] = []
  const turns = createLoopTurns(() => now)
  const ask = (network: string, name: string) =>
    turns.run(network, () => {
      now += 1
      done.push(name)
    })
  return { turns, done, ask }
}

test('Where nothing waits, a task runs at once.', () => {
  const { done, ask } = loop()
  expect(ask('a', 'first')).toBe(true)
  expect(done).toEqual(['first'])
})

test('Tasks beyond the share of one turn of the event loop wait for the next turns, in order.', async () => {
  const { turns, done, ask } = loop()
  expect(['1', '2', '3', '4', '5'].map((name) => ask('a', name))).toEqual([true, true, false, false, false])
  expect(turns.waiting).toBe(3)
  await nextTurn()
  expect(done).toEqual(['1', '2', '3', '4'])
  await nextTurn()
  expect(done).toEqual(['1', '2', '3', '4', '5'])
  expect(turns.waiting).toBe(0)
})

test('A network with one task is served after one task of a network with many.', async () => {
  const { done, ask } = loop()
  for (let at = 1; at <= 50; at += 1) ask('flood', `${at}`)
  ask('guest', 'guest')
  await nextTurn()
  expect(done).toEqual(['1', '2', '3', 'guest'])
})

test('A task that throws does not disturb the next ones.', async () => {
  const { turns, done, ask } = loop()
  ask('a', '1')
  ask('a', '2')
  const fails = () => {
    throw new Error('broken')
  }
  turns.run('a', fails)
  ask('a', '3')
  const thrown = await new Promise((resolve) => {
    const owners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const owner of owners) process.on('uncaughtException', owner)
      resolve(error)
    })
  })
  expect(thrown).toEqual(new Error('broken'))
  await nextTurn()
  expect(done).toEqual(['1', '2', '3'])
})
