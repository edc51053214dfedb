/** How many calls run at once over several workers: of a small limit exactly as many, of a large one never more. */
import { expect, test } from 'vitest'
import { createBoundsOf } from '../../src/admission/caller-bounds.ts'
import { createRunningCalls, type Leave } from '../../src/admission/running-calls.ts'
import { shareRunningCalls } from '../../src/admission/share-running-calls.ts'
import { NO_LIMITS } from '../../src/identity/no-limits.ts'
import { createPlaces } from '../../src/workers/places.ts'
import { callerFor } from '../support/caller.ts'

const ALICE = callerFor({ organizationId: 'acme', userId: 'alice', keyId: 'alice-1' })

/** Workers whose primary is in this process. */
function createWorkers(count: number, { perKey = 100, callsAtOnce = null as number | null } = {}) {
  const places = createPlaces()
  let asked = 0
  const key = { ...NO_LIMITS, callsAtOnce }
  const plans = { platform: NO_LIMITS, byok: NO_LIMITS, hybrid: NO_LIMITS }
  const boundsOf = createBoundsOf({ key, organization: NO_LIMITS, plans })
  const limits = { perKey, perUser: 1_000, perOrganization: 1_000, total: 10_000, boundsOf }
  const workers = Array.from({ length: count }, (_, worker) =>
    shareRunningCalls(
      createRunningCalls(limits, () => 0),
      limits,
      {
        workers: count,
        async take(wanted) {
          asked += 1
          return places.take(worker, wanted)
        },
        give: (names) => places.give(worker, names),
      },
    ),
  )
  /** One call after the other at this worker until one is refused. */
  async function fill(worker: number): Promise<Leave[]> {
    const running: Leave[] = []
    for (;;) {
      try {
        running.push(await workers[worker]!.enter(ALICE))
      } catch {
        return running
      }
    }
  }
  return { workers, places, fill, asked: () => asked }
}

test('A limit of one key lets exactly as many calls run over all workers, and each that ends makes room at any of them.', async () => {
  const { fill } = createWorkers(4, { callsAtOnce: 7 })
  const first = await fill(0)
  expect(first).toHaveLength(7)
  expect(await fill(1)).toHaveLength(0)
  for (const leave of first.slice(0, 3)) leave()
  expect(await fill(2)).toHaveLength(3)
  expect(await fill(0)).toHaveLength(0)
})

test('One worker may run three quarters of a general limit, and both workers together the whole.', async () => {
  const { fill } = createWorkers(2, { perKey: 100 })
  const first = await fill(0)
  const second = await fill(1)
  expect([first.length, second.length]).toEqual([75, 25])
  for (const leave of [...first, ...second]) leave()
  expect((await fill(1)).length + (await fill(0)).length).toBe(100)
})

test('A general limit that is far away is counted without asking the primary; the limit of a key asks for each call.', async () => {
  const general = createWorkers(2, { perKey: 100 })
  for (let calls = 0; calls < 25; calls++) await general.workers[0]!.enter(ALICE)
  expect(general.asked()).toBe(0)
  await general.workers[0]!.enter(ALICE)
  expect(general.asked()).toBe(1)
  const narrowed = createWorkers(2, { callsAtOnce: 50 })
  await narrowed.workers[0]!.enter(ALICE)
  expect(narrowed.asked()).toBe(1)
})

test('The places that a worker held when it died are free again, and what it gives back afterwards takes nothing from others.', async () => {
  const { places, fill } = createWorkers(2, { callsAtOnce: 5 })
  const lost = await fill(0)
  places.forget(0)
  expect(await fill(1)).toHaveLength(5)
  for (const leave of lost) leave()
  expect(await fill(0)).toHaveLength(0)
})

test('Calls that come, go and are refused in any order leave nothing taken.', async () => {
  const { workers, fill } = createWorkers(3, { perKey: 20 })
  const running: Leave[] = []
  for (let step = 0; step < 300; step++) {
    const entering = Array.from({ length: (step * 7) % 9 }, async (_, n) => workers[(step + n) % 3]!.enter(ALICE))
    for (const leave of running.splice(0, (step * 5) % 8)) leave()
    const entered = await Promise.allSettled(entering)
    running.push(...entered.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))
    expect(running.length).toBeLessThanOrEqual(20)
  }
  for (const leave of running) leave()
  const full = [...(await fill(0)), ...(await fill(1)), ...(await fill(2))]
  expect(full).toHaveLength(20)
})
