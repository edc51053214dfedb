/** A simulation: lanes of operations made of a seed, on two processes of the product, with audits beside them and dashboards compared at the end. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../src/db/connect.ts'
import { audit } from '../../src/ledger/audit.ts'
import { seeded } from '../support/random.ts'
import { startStripe, WEBHOOK_SECRET } from '../support/stripe.ts'
import { configFor, startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'
import { compareDashboards } from './dashboards.ts'
import { operationAt, type Scene, sender } from './operations.ts'
import { answerOfProvider, createCompanies, type World } from './world.ts'

const AUDIT_EVERY_MS = 1_000
/** Differences tell the same story after a few. */
const MOST = 20
const BUSY_MOST = 20

export interface SimulationOptions {
  database: Database
  databaseUrl: string
  seed: number
  operations: number
  organizations: number
  lanes: number
}

export interface SimulationResult {
  /** By name, how many were made. */
  made: Map<string, number>
  audits: number
  /** Answers that the ledger was not there for a moment. */
  busy: number
  /** Empty where all is right. */
  differences: string[]
}

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { database, databaseUrl, organizations } = options
  const [upstream, stripe] = [await startUpstream(answerOfProvider), await startStripe()]
  const config = configFor(upstream.url, {
    tollgate: { stripe: { secret_key: 'sk_test_scripted', webhook_secret: WEBHOOK_SECRET, api_base: stripe.url } },
  })
  const start = () => startTollgate({ databaseUrl, config, flags: ['--log-level', 'warn'] })
  const processes = await Promise.all([start(), start()])
  try {
    const companies = await createCompanies(database, organizations)
    const world: World = { database, stripe, companies, urls: processes.map(({ url }) => url) }
    return await run(world, options)
  } finally {
    await Promise.all(processes.map((one) => one.stop()))
    await stripe.close()
    await upstream.close()
  }
}

async function run(world: World, options: SimulationOptions): Promise<SimulationResult> {
  const { seed, operations, lanes } = options
  const result: SimulationResult = { made: new Map(), audits: 0, busy: 0, differences: [] }
  const share = Math.ceil(operations / lanes)
  const over = new AbortController()
  const auditing = (async () => {
    while (!over.signal.aborted) {
      await auditOnce(world, result)
      await sleep(AUDIT_EVERY_MS)
    }
  })()
  await Promise.all(
    Array.from({ length: lanes }, (_, lane) => runLane(world, seeded(seed * 1_000 + lane), share, result)),
  )
  over.abort()
  await auditing
  await untilNothingIsHeld(world, result)
  await auditOnce(world, result)
  result.differences.push(...(await compareDashboards(world)))
  return result
}

async function runLane(world: World, chance: () => number, share: number, result: SimulationResult): Promise<void> {
  const upTo = (most: number) => 1 + Math.floor(chance() * most)
  const onBusy = () => {
    result.busy += 1
    return result.busy <= BUSY_MOST
  }
  const send = sender({ urls: world.urls, chance, onBusy })
  for (let index = 0; index < share && result.differences.length < MOST; index += 1) {
    const company = world.companies[upTo(world.companies.length) - 1]
    const member = company?.members[upTo(company.members.length) - 1]
    const owner = company?.members[0]
    if (company === undefined || member === undefined || owner === undefined) throw new Error('nobody takes part')
    const { name, perform } = operationAt(chance())
    const scene: Scene = { world, company, member, owner, chance, upTo, send, unique: randomUUID }
    try {
      await perform(scene)
      result.made.set(name, (result.made.get(name) ?? 0) + 1)
    } catch (error) {
      result.differences.push(`${name}: ${(error as Error).message}`)
    }
  }
}

async function auditOnce({ database }: World, result: SimulationResult): Promise<void> {
  const { findings } = await audit(database)
  result.audits += 1
  for (const finding of findings.slice(0, MOST)) result.differences.push(`the audit: ${JSON.stringify(finding)}`)
}

async function untilNothingIsHeld({ database }: World, result: SimulationResult): Promise<void> {
  const end = performance.now() + 10_000
  for (;;) {
    const { openHolds } = await audit(database)
    if (openHolds === 0) return
    if (performance.now() > end) return void result.differences.push(`${openHolds} calls are still held`)
    await sleep(50)
  }
}
