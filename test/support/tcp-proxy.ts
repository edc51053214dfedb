/** A TCP port in front of PostgreSQL's Unix socket whose connections a test can cut, refuse and make deaf. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  /** The database of `databaseUrl`, through the proxy. */
  url: string
  /** Breaks every connection and refuses new ones until `restore`. */
  cut(): void
  /** From now on questions arrive and answers get lost, until `restore`. */
  loseAnswers(): void
  restore(): void
  close(): Promise<void>
}

/** @param databaseUrl over a Unix socket, as openEmbeddedStore gives it. */
export async function startTcpProxy(databaseUrl: string): Promise<TcpProxy> {
  const target = new URL(databaseUrl.replace(/@[^/:]+/, '@host'))
  const directory = decodeURIComponent(/@([^/:]+)/.exec(databaseUrl)?.[1] ?? '')
  const sockets = new Set<Socket>()
  let refusing = false
  let deaf = false

  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect(`${directory}/.s.PGSQL.${target.port}`)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (bytes) => {
        if (!(deaf && from === upstream)) to.write(bytes)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy listens on no port')

  function breakAll(): void {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `postgresql://${target.username}@127.0.0.1:${address.port}${target.pathname}?sslmode=disable`,
    cut() {
      refusing = true
      breakAll()
    },
    loseAnswers() {
      deaf = true
    },
    restore() {
      refusing = false
      deaf = false
    },
    async close() {
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}
