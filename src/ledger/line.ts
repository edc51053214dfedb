/**
 * Calls of this process that wait for running ones, here or elsewhere. Where they stand is in the database (sql/functions/waiting.sql), so
 * that the order of arrival holds across processes: the first ask of a call is the one that puts it in line, and it asks
 * again when the database says that it is first and something was freed. The connection for that is made when the first call waits.
 *
 * Fails open to the caller: one whose turn does not come within its time is refused as if it had not waited.
 */
import { type BatchConnection, createBatchConnection } from './batch-connection.ts'
import type { HoldAnswer, InLine } from './hold-batch.ts'
import type { HoldRequest } from './ledger.ts'

/** Whoever is first is asked for so often, since notifications get lost with their connection and not all that frees credits sends one. */
const LOOK_AGAIN_MS = 250
/** A longer line than this is not joined: it would not be through in time. */
const WAITING_MAX = 1_000

/** A call asks for its hold; `line` says for how long it may wait, and whether it does already. */
export type Ask<Asked> = (line: InLine | undefined) => Promise<Asked>

export interface Line {
  /** Asks, and where only running calls stand in the way asks again in its turn. `waitedMs` is left out where it did not wait. */
  hold<Asked extends { answer: HoldAnswer }>(
    request: HoldRequest,
    ask: Ask<Asked>,
  ): Promise<Asked & { waitedMs?: number }>
  close(): Promise<void>
}

export interface LineOptions {
  url: string
  /** 0: nobody waits. */
  waitMs: number
  /** Monotonic, in milliseconds. */
  now: () => number
  onTrouble: (error: unknown) => void
}

/** A call that asks, or pauses. */
interface Place {
  /** It was told to ask since it asked last. */
  isCalled: boolean
  /** Ends its pause. */
  wake: () => void
}

export function createLine({ url, waitMs, now, onTrouble }: LineOptions): Line {
  const places = new Map<string, Place>()
  let pausing = 0
  const wake = (callId: string | undefined): void => {
    const place = places.get(callId ?? '')
    if (place === undefined) return
    place.isCalled = true
    place.wake()
  }
  const connection = createBatchConnection(url, 'line', async (client) => {
    client.on('notification', ({ payload }) => wake(payload))
    await client.query('listen tollgate_line')
  })
  const looking = createLooking(connection, () => pausing > 0, wake, onTrouble)

  /** Until somebody wakes it, or `ms` are over. */
  async function pause(place: Place, ms: number): Promise<void> {
    if (!place.isCalled) {
      const { promise, resolve } = Promise.withResolvers<void>()
      place.wake = resolve
      const timer = setTimeout(resolve, ms)
      pausing += 1
      looking.start()
      await promise
      pausing -= 1
      clearTimeout(timer)
    }
    place.isCalled = false
  }

  async function inTurn<Asked extends { answer: HoldAnswer }>(request: HoldRequest, ask: Ask<Asked>, place: Place) {
    const arrived = now()
    const left = () => Math.max(0, Math.ceil(arrived + waitMs - now()))
    let last = await ask({ forMs: left(), stands: false })
    if (last.answer.outcome !== 'waits') return last
    while (last.answer.outcome === 'waits') {
      await pause(place, left())
      if (request.isGone?.() === true) {
        void ask('leaves').catch(onTrouble)
        return last
      }
      last = await ask({ forMs: left(), stands: true })
    }
    return { ...last, waitedMs: Math.round(now() - arrived) }
  }

  return {
    async hold(request, ask) {
      if (waitMs === 0 || pausing >= WAITING_MAX) return ask(undefined)
      const place = { isCalled: false, wake: () => {} }
      places.set(request.callId, place)
      try {
        return await inTurn(request, ask, place)
      } finally {
        places.delete(request.callId)
      }
    },
    async close() {
      looking.stop()
      await connection.close()
    },
  }
}

/** Looks who is first in each line, while somebody here waits. */
function createLooking(
  connection: BatchConnection,
  isNeeded: () => boolean,
  wake: (callId: string) => void,
  onTrouble: (error: unknown) => void,
) {
  let looks = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  async function look(): Promise<void> {
    try {
      const { rows } = await connection.use((client) =>
        client.query<{ id: string }>({ name: 'line', text: 'select tollgate.ledger_first_in_lines() as id' }),
      )
      for (const { id } of rows) wake(id)
    } catch (error) {
      if (!stopped) onTrouble(error)
    }
    if (isNeeded() && !stopped) timer = setTimeout(() => void look(), LOOK_AGAIN_MS)
    else looks = false
  }

  return {
    start() {
      if (looks || stopped) return
      looks = true
      void look()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
