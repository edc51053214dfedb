/**
 * A TCP port in front of PostgreSQL whose connections a test can cut, refuse, stall and make deaf, and whose commits it can
 * make ambiguous: committed, but the answer never arrives.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { createCommitWatch } from './commit-watch.ts'

export interface TcpProxy {
  /** The database of `databaseUrl`, through the proxy. */
  url: string
  /** Breaks every connection and refuses new ones until `restore`. */
  cut(): void
  /** Breaks every connection; new ones pass. */
  breakConnections(): void
  /** Connections stay open and nothing passes, either way; what was sent meanwhile is delivered by `restore`. */
  stall(): void
  /** From now on questions arrive and answers get lost, until `restore`. */
  loseAnswers(): void
  /**
   * The next `times` transactions whose question has `statement` in it (the name of a prepared statement or of a function) are
   * committed, and their connections cut instead of the answer delivered. Resolves to how often that happened: `times`, or
   * less where `restore` came first. One that fails is not counted and passes.
   */
  withholdCommit(statement: string, times?: number): Promise<number>
  restore(): void
  close(): Promise<void>
}

/**
 * @param databaseUrl over a Unix socket, as openEmbeddedStore gives it, or over TCP. A function is asked at each connection:
 *   a server that was restarted may live elsewhere; database and user are those of its first answer.
 */
export async function startTcpProxy(databaseUrl: string | (() => string)): Promise<TcpProxy> {
  const where = typeof databaseUrl === 'string' ? () => databaseUrl : databaseUrl
  const sockets = new Set<Socket>()
  const commits = createCommitWatch()
  let refusing = false
  let stalled = false
  let deaf = false

  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const upstream = connectTo(where())
    const watch = commits.connection()
    forward(client, upstream, (bytes) => {
      watch.asked(bytes)
      return bytes
    })
    forward(upstream, client, (bytes) => {
      if (deaf) return null
      const passed = watch.answered(bytes)
      if (passed === 'cut') for (const socket of [client, upstream]) socket.destroy()
      return passed === 'cut' ? null : passed
    })
    upstream.once('close', () => watch.closed())
  })

  function forward(from: Socket, to: Socket, pass: (bytes: Buffer) => Buffer | null): void {
    sockets.add(from)
    from.on('data', (bytes) => {
      const passed = pass(bytes)
      if (passed !== null && !to.destroyed) to.write(passed)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
    if (stalled) from.pause()
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy listens on no port')

  function breakAll(): void {
    for (const socket of sockets) socket.destroy()
  }
  const { user, database } = partsOf(where())
  return {
    url: `postgresql://${user}@127.0.0.1:${address.port}/${database}?sslmode=disable`,
    cut() {
      refusing = true
      breakAll()
    },
    breakConnections: breakAll,
    stall() {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    loseAnswers() {
      deaf = true
    },
    withholdCommit: (statement, times = 1) => commits.withhold(statement, times),
    restore() {
      refusing = false
      deaf = false
      stalled = false
      commits.stop()
      for (const socket of sockets) socket.resume()
    },
    async close() {
      commits.stop()
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}

function connectTo(databaseUrl: string): Socket {
  const { host, port } = partsOf(databaseUrl)
  return host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
}

/** Not by URL alone: it takes no socket directory, which pg writes percent-encoded, for a host. */
function partsOf(databaseUrl: string): { user: string; host: string; port: number; database: string } {
  const host = decodeURIComponent(/@([^/:]+)/.exec(databaseUrl)?.[1] ?? '')
  const { username, port, pathname } = new URL(databaseUrl.replace(/@[^/:]+/, '@host'))
  return { user: username, host, port: Number(port || 5432), database: pathname.slice(1) }
}
