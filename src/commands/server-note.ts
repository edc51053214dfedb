/**
 * Notes which server listens on a port: a small file in the spool directory, written once it listens and removed when it stops. It
 * tells whoever starts a second server that the first one runs, and where. Fails open: a note is ignored where it can't be written
 * or read, where its process is gone, and where nothing listens at its address.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'

export interface ServerNote {
  pid: number
  host: string
  port: number
}

const CONNECT_MS = 1_000

/** @returns a function that removes the note. */
export async function writeServerNote(directory: string, note: ServerNote): Promise<() => Promise<void>> {
  const file = fileOf(directory, note.port)
  await mkdir(directory, { recursive: true })
    .then(() => writeFile(file, `${JSON.stringify(note)}\n`, { mode: 0o644 }))
    .catch(() => {})
  return () => rm(file, { force: true }).catch(() => {})
}

/** Returns null where no server is known to listen on this port. */
export async function findServer(directory: string, port: number): Promise<ServerNote | null> {
  const note = await readFile(fileOf(directory, port), 'utf8')
    .then((text) => JSON.parse(text) as Partial<ServerNote>)
    .catch(() => null)
  const { pid, host } = note ?? {}
  if (typeof pid !== 'number' || typeof host !== 'string' || note?.port !== port) return null
  // The first process of every container has the same id.
  if (pid === process.pid || !isAlive(pid) || !(await listens(host, port))) return null
  return { pid, host, port }
}

function fileOf(directory: string, port: number): string {
  return join(directory, `server-${port}.json`)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM'
  }
}

function listens(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ host: reachable(host), port, timeout: CONNECT_MS })
  socket.once('connect', () => resolve(true))
  for (const event of ['error', 'timeout'] as const) socket.once(event, () => resolve(false))
  return promise.finally(() => socket.destroy())
}

/** An address to connect to: the loopback one for a host that means all addresses. */
export function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}
