/**
 * A ledger for a test: in the test's own process, or as a process of its own that can be stopped and killed. Each has a spool
 * directory of its own unless it is given one; everything ends with the test.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TollgateError } from '../../src/http/errors.ts'
import { createLedger } from '../../src/ledger/create-ledger.ts'
import { keyLimit } from '../../src/ledger/key-limit.ts'
import type {
  Closing,
  Delivered,
  Hold,
  HoldRequest,
  Ledger,
  LedgerObserver,
  Pending,
  Settled,
  Settlement,
} from '../../src/ledger/ledger.ts'
import type { Recovered } from '../../src/ledger/recovery.ts'
import type { SharedLimit } from '../../src/ledger/slices.ts'

export const credit = 1_000_000n

export interface OpenOptions {
  databaseUrl: string
  /** Vitest's onTestFinished. */
  onFinish: (cleanUp: () => Promise<void>) => void
  spoolDirectory?: string
  /** 5 and 30 unless stated, as in the product. A lease lasts three renewals. */
  renewSeconds?: number
  deadAfterSeconds?: number
  /** Long unless stated, however busy the machine is; 250 in the product. */
  bookingWaitMs?: number
  /** Nobody waits unless stated. */
  creditWaitMs?: number
  /** None unless stated. */
  sharedLimit?: SharedLimit
  observer?: LedgerObserver
}

export interface Trouble {
  what: string
  message: string
  callId: string | undefined
}

export interface OpenedLedger {
  ledger: Ledger
  spoolDirectory: string
  troubles: Trouble[]
  recovered: Recovered[]
  /** The id by which it owns its holds at this moment. */
  owner(): string
  close(): Promise<void>
}

export async function openLedger(options: OpenOptions): Promise<OpenedLedger> {
  const spoolDirectory = options.spoolDirectory ?? (await temporaryDirectory(options.onFinish))
  const troubles: Trouble[] = []
  const recovered: Recovered[] = []
  let lastId = ''
  const ledger = await createLedger({
    databaseUrl: options.databaseUrl,
    spoolDirectory,
    leases: leasesOf(options),
    bookingWaitMs: options.bookingWaitMs ?? 20_000,
    creditWaitMs: options.creditWaitMs ?? 0,
    sharedLimit: options.sharedLimit ?? null,
    ...(options.observer === undefined ? {} : { observer: options.observer }),
    version: 'test',
    newId() {
      lastId = randomUUID()
      return lastId
    },
    onTrouble: (what, error, callId) => troubles.push({ what, message: String(error), callId }),
    onRecovered: (some) => recovered.push(some),
  })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= ledger.close()
    return closed
  }
  options.onFinish(close)
  return { ledger, spoolDirectory, troubles, recovered, owner: () => lastId, close }
}

/** Removed after the test. */
export async function temporaryDirectory(onFinish: OpenOptions['onFinish']): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-spool-'))
  onFinish(() => rm(directory, { recursive: true, force: true }))
  return directory
}

function leasesOf({ renewSeconds = 5, deadAfterSeconds = 30 }: Pick<OpenOptions, 'renewSeconds' | 'deadAfterSeconds'>) {
  return { renewSeconds, deadAfterSeconds }
}

interface Organization {
  id: string
  keyIds: { alice: string }
}

/** A hold of user alice for ten credits of output, all of them or nothing. */
export function holdRequest(organization: Organization, changes: Partial<HoldRequest> = {}): HoldRequest {
  const output = changes.output ?? 10n * credit
  return {
    callId: randomUUID(),
    organizationId: organization.id,
    userId: 'alice',
    keyId: organization.keyIds.alice,
    serviceType: 'llm_inference',
    serviceName: 'gpt-5',
    requestId: null,
    input: 0n,
    inputBytes: 0n,
    uncertain: 0n,
    output,
    least: output,
    step: 0n,
    limits: keyLimit(changes.keyId === undefined ? organization.keyIds.alice : changes.keyId),
    context: null,
    ...changes,
  }
}

/** A third of the charge is put on top of what the provider takes. */
export function settlementOf(hold: HoldRequest, charge: bigint, changes: Partial<Settlement> = {}): Settlement {
  const markup = charge / 3n
  const amounts = { charge, apiCost: charge - markup, markup }
  return { ...closingOf(hold), outcome: 'answered', ...amounts, provenance: 'provider_usage', ...changes }
}

export function releaseOf(hold: HoldRequest): Closing {
  return { ...closingOf(hold), outcome: 'failed' }
}

function closingOf({ callId, organizationId, userId, keyId, serviceType, serviceName, requestId }: HoldRequest) {
  return { callId, organizationId, userId, keyId, serviceType, serviceName, requestId, details: null }
}

/** What a ledger in another process can be asked. */
interface Questions {
  open(): boolean
  hold(request: HoldRequest): Promise<Hold>
  checkpoint(callId: string, organizationId: string, delivered: Delivered): void
  settle(settlement: Settlement): Promise<Settled | Pending>
  troubles(): Trouble[]
}

export type LedgerProcess = {
  [Name in keyof Questions]: (...args: Parameters<Questions[Name]>) => Promise<Awaited<ReturnType<Questions[Name]>>>
} & {
  pid: number
  spoolDirectory: string
  signal(signal: NodeJS.Signals): void
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
}

type Answer = { value: unknown } | { refused: { status: number; code: string } } | { failed: string }

/** Resolves once its ledger is open. Its refusals arrive as TollgateErrors of the same status and code. */
export async function startLedgerProcess(options: OpenOptions): Promise<LedgerProcess> {
  const { databaseUrl, onFinish } = options
  const spoolDirectory = options.spoolDirectory ?? (await temporaryDirectory(onFinish))
  const { bookingWaitMs, creditWaitMs } = options
  const settings = JSON.stringify({ databaseUrl, spoolDirectory, bookingWaitMs, creditWaitMs, ...leasesOf(options) })
  const program = `import { answerQuestions } from '${import.meta.url}'; await answerQuestions(${settings})`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Amounts are bigints.
    serialization: 'advanced',
  })
  const gone = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  onFinish(kill)
  const waiting = new Map<number, (answer: Answer) => void>()
  const ready = new Promise<void>((resolve, reject) => {
    child.on('message', (message: 'ready' | { id: number; answer: Answer }) => {
      if (message === 'ready') return resolve()
      waiting.get(message.id)?.(message.answer)
      waiting.delete(message.id)
    })
    gone.then(() => {
      const message = 'the process of the ledger is gone'
      reject(new Error(message))
      for (const answer of waiting.values()) answer({ failed: message })
    }, reject)
  })
  await ready
  let asked = 0
  const ask =
    (name: keyof Questions) =>
    async (...args: unknown[]) => {
      const id = ++asked
      const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve))
      child.send({ id, name, args })
      const answer = await answered
      if ('value' in answer) return answer.value
      if ('failed' in answer) throw new Error(answer.failed)
      throw new TollgateError(answer.refused.status, answer.refused.code, 'refused in the other process')
    }
  const questions = Object.fromEntries(
    (['open', 'hold', 'checkpoint', 'settle', 'troubles'] as const).map((name) => [name, ask(name)]),
  ) as Pick<LedgerProcess, keyof Questions>
  const { pid = 0 } = child
  return { ...questions, pid, spoolDirectory, kill, signal: (signal) => void child.kill(signal) }
}

/** The other process's side: runs until it is killed. */
export async function answerQuestions(settings: Omit<OpenOptions, 'onFinish'>): Promise<void> {
  const { ledger, troubles } = await openLedger({ ...settings, onFinish: () => {} })
  const questions: Questions = {
    open: () => ledger.open,
    hold: (request) => ledger.hold(request),
    checkpoint: (...progress) => ledger.checkpoint(...progress),
    settle: (settlement) => ledger.settle(settlement),
    troubles: () => troubles,
  }
  process.on('disconnect', () => process.exit())
  process.on('message', async ({ id, name, args }: { id: number; name: keyof Questions; args: never[] }) => {
    const question = questions[name] as (...args: unknown[]) => unknown
    process.send?.({ id, answer: await answerTo(async () => question(...args)) })
  })
  process.send?.('ready')
}

async function answerTo(work: () => Promise<unknown>): Promise<Answer> {
  try {
    return { value: await work() }
  } catch (error) {
    if (error instanceof TollgateError) return { refused: { status: error.status, code: error.code } }
    return { failed: String(error) }
  }
}
