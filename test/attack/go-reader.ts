/**
 * Go's encoding/json, as a process that says what it reads in a request. Null where there is no Go to build it with.
 * @throws where there is one, and it can't build it.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SOURCE = fileURLToPath(new URL('./go/main.go', import.meta.url))
/** A first build compiles Go's own library too. */
const BUILD_MS = 120_000

/** What Go reads; `error` where it refuses. */
export interface GoRead {
  error?: string
  model: string
  maxTokens: number | null
  maxCompletionTokens: number | null
  n: number | null
  stream: boolean
  tier: string
  /** Of the contents of all messages. */
  bytes: number
}

export interface GoReader {
  read(body: Buffer): Promise<GoRead>
  close(): Promise<void>
}

export async function startGoReader(): Promise<GoReader | null> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-go-'))
  const program = join(folder, 'reader')
  try {
    await promisify(execFile)('go', ['build', '-o', program, SOURCE], { timeout: BUILD_MS })
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return null
  }
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'close')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  // One request at a time: answers have no names.
  let last: Promise<unknown> = Promise.resolve()
  return {
    read(body) {
      const read = last.then(async () => {
        child.stdin.write(`${body.toString('base64')}\n`)
        const { value } = await lines.next()
        return JSON.parse(String(value)) as GoRead
      })
      last = read.catch(() => {})
      return read
    },
    async close() {
      child.stdin.end()
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
