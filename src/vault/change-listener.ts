/**
 * Learns of changed keys: LISTEN on a connection of its own, which is probed twice a second. A notification sent
 * before such a question is here before its response, so each response says that until its question everything was heard. It also
 * holds a shared advisory lock for each root key the process can open with, by which a rotation knows whom to wait for; a
 * process that dies lets go of them. Fails towards work, not towards old keys: without a connection nothing is trusted for
 * more than a second.
 */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { UNHEARD_MS } from './key-cache.ts'

/** The first half of the locks' names; the second is 0 for "there is a vault", else made of the root key's name. */
export const ROOT_LOCK = 8084_0015
const ASK_EVERY_MS = 400
const SILENCE_MS = 3_000
const AGAIN_MS = 250

export interface ListenerOptions {
  databaseUrl: string
  now: () => number
  /** Names of the root keys this process can open with, asked at each connection after `onConnected`. */
  rootNames: () => readonly string[]
  /** The connection is new: what happened before was not heard. When it throws, the next attempt follows. */
  onConnected: () => Promise<void>
  /** A change to a key (its subject) or to the root key in use (`root`). */
  onChange: (subject: string) => void
  /** Once for each time the connection is lost or can't be made. */
  onLost: (error: Error) => void
}

export interface ChangeListener {
  heardUntil(): number
  /** Tells that this process can open with another root key. Nothing is lost while there is no connection. */
  holdRoot(name: string): Promise<void>
  close(): Promise<void>
}

/** Resolves when the first attempt to connect is over, however it went. */
export async function createChangeListener(options: ListenerOptions): Promise<ChangeListener> {
  const stop = new AbortController()
  let heardUntil = Number.NEGATIVE_INFINITY
  let current: pg.Client | null = null
  /** The connection works: root keys can be locked on it. */
  let live: Asker | null = null
  let tried = () => {}
  const first = new Promise<void>((resolve) => {
    tried = resolve
  })

  async function listen(client: pg.Client): Promise<void> {
    client.on('notification', ({ payload }) => options.onChange(payload ?? ''))
    await client.connect()
    await client.query('listen tollgate_vault')
    await options.onConnected()
    // From here on whoever learns of a new root key locks it; locking it twice does no harm.
    const ask = askInTurn(client)
    live = ask
    for (const name of [null, ...options.rootNames()]) await lockRoot(ask, name)
    for (;;) {
      const asked = options.now()
      await ask('select')
      heardUntil = asked + UNHEARD_MS
      tried()
      await delay(ASK_EVERY_MS, undefined, { signal: stop.signal })
    }
  }

  async function keepListening(): Promise<void> {
    let lost = false
    while (!stop.signal.aborted) {
      const client = new pg.Client({
        connectionString: options.databaseUrl,
        application_name: 'tollgate vault',
        connectionTimeoutMillis: SILENCE_MS,
        query_timeout: SILENCE_MS,
        keepAlive: true,
      })
      current = client
      // The next question shows whether the connection broke.
      client.on('error', () => {})
      const before = heardUntil
      await listen(client).catch((error: Error) => {
        live = null
        // A break is reported again once a connection has worked in between.
        if (heardUntil !== before) lost = false
        if (!lost && !stop.signal.aborted) options.onLost(error)
        lost = true
      })
      await hangUp(client)
      tried()
      await delay(AGAIN_MS, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  const listening = keepListening()
  await first
  return {
    heardUntil: () => heardUntil,
    holdRoot: async (name) => {
      // The next connection takes the locks of all root keys known by then.
      if (live !== null) await lockRoot(live, name).catch(() => {})
    },
    async close() {
      stop.abort()
      if (current !== null) destroy(current)
      // What is asked elsewhere about the root key has an end of its own.
      await Promise.race([listening, delay(1_000, undefined, { ref: false })])
    },
  }
}

/** Both halves are 32 bits with a sign. */
export function rootLockOf(name: string | null): number {
  return name === null ? 0 : createHash('sha256').update(name).digest().readInt32BE() || 1
}

type Asker = (sql: string, values?: unknown[]) => Promise<unknown>

/** The probe and a new root key come when they come, but a connection takes one question at a time. */
function askInTurn(client: pg.Client): Asker {
  let last: Promise<unknown> = Promise.resolve()
  return (sql, values) => {
    const asked = last.then(() => client.query(sql, values))
    last = asked.catch(() => {})
    return asked
  }
}

async function lockRoot(ask: Asker, name: string | null): Promise<void> {
  await ask('select pg_advisory_lock_shared($1, $2)', [ROOT_LOCK, rootLockOf(name)])
}

/** This does not wait for a response: a server that is silent would not confirm the end either. */
async function hangUp(client: pg.Client): Promise<void> {
  await Promise.race([client.end().catch(() => {}), delay(100)])
  destroy(client)
}

function destroy(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}
