/** Plays the cases before both, one at a time, and holds what differs against the reasons. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import { connect } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import type { Json } from '../support/response-answers.ts'
import { configFor, modelOn, postChat, startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'
import { reasonOf } from './bridge-reasons.ts'
import { type BridgeCase, bridgeCases, type Said } from './bridge-requests.ts'
import { differences, type Played } from './differences.ts'

interface Options {
  python: string
  seed: number
  count: number
  show: string | null
}

/** Returns the exit code. */
export async function compareBridge({ python, seed, count, show }: Options): Promise<number> {
  const ours = await openTollgate()
  const theirs = openLitellm(python, ours.upstream.url)
  const byReason = new Map<string, number>()
  const unexplained: string[] = []
  let same = 0
  try {
    for (const [index, one] of bridgeCases(seed, count).entries()) {
      ours.upstream.respond(() => ({
        headers: { 'content-type': 'application/json' },
        frames: [JSON.stringify(completionOf(one.said))],
      }))
      const played = {
        ours: await playedBy(ours, () => ours.ask(one)),
        theirs: await playedBy(ours, () => theirs.ask(one)),
      }
      const found = differences(one, played)
      if (found.length === 0) same += 1
      for (const difference of found) {
        const reason = reasonOf(difference, one)
        if (reason === null) unexplained.push(`${index} ${difference.line}`)
        else byReason.set(reason, (byReason.get(reason) ?? 0) + 1)
        if (show !== null && difference.line.includes(show))
          process.stdout.write(`${index} ${difference.line}\n${JSON.stringify({ one, played }, null, 1)}\n`)
      }
    }
  } finally {
    theirs.close()
    await ours.close()
  }
  process.stdout.write(`${count} requests (seed ${seed}): ${same} the same to the letter\n`)
  for (const [reason, times] of [...byReason].sort(([, a], [, b]) => b - a))
    process.stdout.write(`${times} x ${reason}\n`)
  for (const line of unexplained) process.stdout.write(`WITHOUT A REASON ${line}\n`)
  return unexplained.length === 0 ? 0 : 1
}

async function playedBy(
  { upstream }: { upstream: { requests: { json: Json | null }[] } },
  ask: () => Promise<Json>,
): Promise<Played> {
  upstream.requests.length = 0
  const answered = await ask()
  return { sent: upstream.requests.map(({ json }) => json ?? {}), answered }
}

function completionOf({ text, calls, finish, cached, reasoning, thought }: Said): Json {
  const message: Json = { role: 'assistant', content: text }
  if (calls.length > 0) message.tool_calls = calls.map(({ id, ...fn }) => ({ id, type: 'function', function: fn }))
  if (thought !== null) message.reasoning_content = thought
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'scripted',
    choices: [{ index: 0, message, finish_reason: finish }],
    usage: {
      prompt_tokens: 100,
      completion_tokens: 30,
      total_tokens: 130,
      prompt_tokens_details: { cached_tokens: cached },
      completion_tokens_details: { reasoning_tokens: reasoning },
    },
  }
}

async function openTollgate() {
  const home = await mkdtemp(join(tmpdir(), 'tollgate-compare-'))
  const upstream = await startUpstream()
  const store = await openEmbeddedStore(join(home, 'data'))
  await migrate(store.url)
  const database = connect(store.url)
  const prices = { input_cost_per_token: 0.000001, output_cost_per_token: 0.00001 }
  const models = [modelOn(upstream.url, 'scripted', prices)]
  const config = configFor(upstream.url, { models, router_settings: { num_retries: 0 } })
  const tollgate = await startTollgate({ databaseUrl: store.url, config })
  const { name } = await createOrganization(database, { name: 'compare', plan: 'platform', credits: 10_000_000_000n })
  const allocate = 1_000_000_000n
  const { key } = await createKey(database, { organization: name, user: 'alice', allocate, role: null, name: null })
  return {
    upstream,
    async ask({ kind, body }: BridgeCase): Promise<Json> {
      const answer = await postChat(tollgate, key, { model: 'scripted', ...body }, { path: `/v1/${kind}` })
      return answer.status === 200 ? { answer: answer.json() } : { error: answer.status, message: answer.body }
    },
    async close() {
      await tollgate.stop()
      await upstream.close()
      await database.close()
      await store.close()
      await rm(home, { recursive: true, force: true })
    },
  }
}

function openLitellm(python: string, base: string) {
  const script = fileURLToPath(new URL('litellm_bridge.py', import.meta.url))
  // Its prices are of no interest: what is in its package will do.
  const env = { ...process.env, LITELLM_LOCAL_MODEL_COST_MAP: 'True' }
  const child = spawn(python, [script, base], { stdio: ['pipe', 'pipe', 'ignore'], env })
  const waiting: ((line: string) => void)[] = []
  const gone = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${python} ended with ${code}: has it litellm?`)))
  })
  gone.catch(() => {})
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) waiting.shift()?.(line)
  })
  return {
    async ask({ kind, body }: BridgeCase): Promise<Json> {
      const line = new Promise<string>((resolve) => waiting.push(resolve))
      child.stdin.write(`${JSON.stringify({ kind, body })}\n`)
      return JSON.parse(await Promise.race([line, gone])) as Json
    },
    close: () => child.stdin.end(),
  }
}
