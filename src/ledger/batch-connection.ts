/**
 * One connection to PostgreSQL that sends one batch at a time. A batch waits at most 250 ms for a lock and runs at most two
 * seconds; a connection that says nothing for four is given up. What became of the batch is then unknown, which
 * ConnectionLostError says.
 */
import pg from 'pg'

const LOCK_TIMEOUT_MS = 250
const STATEMENT_TIMEOUT_MS = 2_000
const SILENCE_MS = 4_000

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

export function createBatchConnection(url: string, name: string): BatchConnection {
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
      lock_timeout: LOCK_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      keepAlive: true,
    })
    client.on('error', () => forget(client))
    client.on('end', () => forget(client))
    await client.connect()
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
        if (client !== null && client === live) throw error
        if (client !== null) giveUp(client)
        throw new ConnectionLostError(error, client !== null)
      } finally {
        clearTimeout(silence)
      }
    },
    async close() {
      closed = true
      const client = await current?.catch(() => null)
      await client?.end().catch(() => {})
    },
  }
}

/** At once, without asking the other side. */
function destroy(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}
