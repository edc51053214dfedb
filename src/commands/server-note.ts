/**
 * Which server listens on a port: a small file in the spool directory, written once it listens and removed when it stops. It is read
 * to tell whoever starts a second one that the first is running, and where. Fails open: a note that can't be written or read, whose
 * process is gone, or at whose address nobody listens, is as good as none.
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

/** @returns what removes the note again. */
export async function writeServerNote(directory: string, note: ServerNote): Promise<() => Promise<void>> {
  const file = fileOf(directory, note.port)
  await mkdir(directory, { recursive: true })
    .then(() => writeFile(file, `${JSON.stringify(note)}\n`, { mode: 0o644 }))
    .catch(() => {})
  return () => rm(file, { force: true }).catch(() => {})
}

/** Null where no server is known to listen on this port. */
export async function findServer(directory: string, port: number): Promise<ServerNote | null> {
  const note = await readFile(fileOf(directory, port), 'utf8')
    .then((text) => JSON.parse(text) as Partial<ServerNote>)
    .catch(() => null)
  const { pid, host } = note ?? {}
  if (typeof pid !== 'number' || typeof host !== 'string' || note?.port !== port) return null
  // In a container every first process has the same id.
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

/** An address to connect to, for one that stands for all. */
export function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}
