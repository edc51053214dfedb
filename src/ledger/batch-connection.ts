/**
 * One connection to PostgreSQL that sends one batch at a time. A batch waits at most 250 ms for a lock and runs at most two
 * seconds; a connection that says nothing for four is given up. What became of the batch is then unknown, which
 * ConnectionLostError says.
 */
import pg from 'pg'

const LOCK_TIMEOUT_MS = 250
const STATEMENT_TIMEOUT_MS = 2_000
const SILENCE_MS = 4_000
const GOODBYE_MS = 1_000
/**
 * And plans that read by index only: one made while a table was small is kept by its session, and would scan all of it when it has
 * grown (measured: 8 ms a hold at 60 000 calls).
 */
const SETTINGS = `set lock_timeout = ${LOCK_TIMEOUT_MS}; set statement_timeout = ${STATEMENT_TIMEOUT_MS};
  set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off`

/** The database may or may not have what was sent; it has not where there was no connection to send it over. */
export class ConnectionLostError extends Error {
  readonly sent: boolean
  constructor(cause: unknown, sent: boolean) {
    super(`the connection to the database was lost: ${(cause as Error).message}`, { cause })
    this.sent = sent
  }
}

export interface BatchConnection {
  /** Runs `work` on the connection, which is made where there is none. @throws {ConnectionLostError} */
  use<T>(work: (client: pg.Client) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** @param onConnected is awaited for each connection that is made, before anything else is sent over it. */
export function createBatchConnection(
  url: string,
  name: string,
  onConnected?: (client: pg.Client) => Promise<void>,
): BatchConnection {
  let current: Promise<pg.Client> | null = null
  let live: pg.Client | null = null
  let closed = false

  function connected(): Promise<pg.Client> {
    if (closed) throw new Error('it is closed')
    current ??= open().catch((error: unknown) => {
      current = null
      throw error
    })
    return current
  }

  async function open(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: url,
      application_name: `tollgate ${name}`,
      connectionTimeoutMillis: SILENCE_MS,
      keepAlive: true,
    })
    client.on('error', () => forget(client))
    client.on('end', () => forget(client))
    await client.connect()
    // Said here, since what stands in the URL would win over what is said at the start of a connection.
    await client.query(SETTINGS)
    await onConnected?.(client)
    live = client
    return client
  }

  /** It is broken; the next one to use the connection makes a new one. */
  function forget(client: pg.Client): void {
    if (live !== client) return
    live = null
    current = null
  }

  function giveUp(client: pg.Client): void {
    forget(client)
    destroy(client)
  }

  return {
    async use(work) {
      let silence: NodeJS.Timeout | undefined
      let client: pg.Client | null = null
      try {
        client = await connected()
        const watched = client
        silence = setTimeout(() => giveUp(watched), SILENCE_MS)
        return await work(client)
      } catch (error) {
        // With the connection in order it is about what was sent.
        if (client !== null && client === live && !leadsNowhere(error)) throw error
        if (client !== null) giveUp(client)
        if (error instanceof pg.DatabaseError) throw error
        throw new ConnectionLostError(error, client !== null)
      } finally {
        clearTimeout(silence)
      }
    },
    async close() {
      closed = true
      const client = await current?.catch(() => null)
      if (client === null || client === undefined) return
      // Another side that says nothing would not say goodbye either.
      const patience = setTimeout(() => destroy(client), GOODBYE_MS)
      await client.end().catch(() => {})
      clearTimeout(patience)
    },
  }
}

/** A standby stays one; the address may lead to the primary next time. */
function leadsNowhere(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(25006|57P)/.test(error.code ?? '')
}

/** At once, without asking the other side. */
function destroy(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}
