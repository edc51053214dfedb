/** A newcomer's first minute: start with nothing, paste what the banner says, see the price, audit the books. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
/** What `npm start` becomes. */
const START = fileURLToPath(new URL('../bin/start', import.meta.url))
const run = promisify(execFile)
const { DATABASE_URL: _database, OPENAI_API_KEY: _key, ...ENV } = process.env

let dataDir = ''
let server: ChildProcess
let runs = false

afterEach(async () => {
  if (runs && server.exitCode === null) {
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
  runs = false
  if (dataDir !== '') await rm(dataDir, { recursive: true, force: true })
})

/** Open to be passed through, or a root's store would have to live elsewhere. */
async function newDataDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tollgate-first-run-'))
  await chmod(path, 0o755)
  return path
}

/** The banner's lines, up to the empty one that ends it. */
async function start(env: Record<string, string | undefined> = {}): Promise<string[]> {
  server = spawn(START, ['start', '--port', '0', '--data-dir', dataDir], {
    env: { ...ENV, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  runs = true
  const lines: string[] = []
  for await (const line of createInterface({ input: server.stdout! })) {
    if (line === '') return lines
    lines.push(line)
  }
  throw new Error(`no banner: ${lines.join('\n')}`)
}

/** A shell runs the line as a person would paste it; `curl` may be missing on a bare machine, so a function stands in then. */
async function paste(line: string): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> {
  const url = /curl -i (\S+)/.exec(line)?.[1] ?? ''
  const headers = [...line.matchAll(/-H "([^:]+): ([^"]+)"/g)].map((match) => [match[1], match[2]] as [string, string])
  const body = /-d '(.*)'$/.exec(line)?.[1] ?? ''
  const response = await fetch(url, { method: 'POST', headers, body })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}

function audit(): Promise<{ stdout: string }> {
  return run(process.execPath, [MAIN, 'audit', '--data-dir', dataDir], { env: ENV })
}

test('A newcomer runs npm start, pastes the curl and sees the price; audit works beside the server and after it, and a second start names the first.', async () => {
  dataDir = await newDataDir()
  const lines = await start()
  expect(lines.length).toBeLessThanOrEqual(8)
  expect(lines[0]).toMatch(/^Tollgate \d+\.\d+\.\d+ on http:\/\/127\.0\.0\.1:\d+$/)
  expect(lines.join('\n')).not.toContain('\u001b')
  expect(lines[1]).toBe(
    `store: its own PostgreSQL in ${join(dataDir, 'postgres')}, for this one machine (set DATABASE_URL for your own)`,
  )
  const curl = lines.at(-1) ?? ''
  expect(curl).toMatch(
    /^curl -i http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions -H "Authorization: Bearer uc_[0-9a-f]{64}"/,
  )

  const { status, headers, body } = await paste(curl)
  expect(status).toBe(200)
  // 9 tokens in at $0.15 and 48 out at $0.60 a million, 50 % on top: 0.000045225 dollars.
  expect(headers.get('x-cost-incurred')).toBe('0.045225')
  expect(headers.get('x-credits-remaining')).toBe('9999.954')
  expect(headers.get('x-cost-provenance')).toBe('provider_usage')
  expect(body.usage).toMatchObject({ prompt_tokens: 9, completion_tokens: 48, cost: 0.000045225 })
  expect((await stat(join(dataDir, 'demo-key'))).mode & 0o777).toBe(0o600)

  expect((await audit()).stdout).toBe('The books are right: 2 organizations, 1 charge, 0 open holds.\n')
  const url = lines[0]?.split(' ').at(-1) ?? ''
  const second = run(START, ['start', '--port', new URL(url).port, '--data-dir', dataDir], { env: ENV })
  await expect(second).rejects.toMatchObject({
    code: 6,
    stderr: `tollgate: Tollgate is running already: process ${server.pid} on ${url}. Stop it with kill ${server.pid}, or start another beside it with --port.\n`,
  })
  // The script has become the server: its process ends in order, with the server's exit code.
  server.kill('SIGTERM')
  expect(await once(server, 'exit')).toEqual([0, null])
  expect((await audit()).stdout).toBe('The books are right: 2 organizations, 1 charge, 0 open holds.\n')
})

test('The demo key and the books are there again at the next start; a provider key in the environment is found.', async () => {
  dataDir = await newDataDir()
  const first = (await start()).at(-1) ?? ''
  const bearer = /Bearer (\S+)"/.exec(first)?.[1]
  await paste(first)
  server.kill('SIGTERM')
  await once(server, 'exit')

  const lines = await start({ OPENAI_API_KEY: 'sk-test-0123456789' })
  expect(lines).toContain('providers: openai (OPENAI_API_KEY)')
  expect(lines.join('\n')).not.toContain('sk-test')
  expect(lines.at(-1)).toContain(`Bearer ${bearer}"`)
  const { headers } = await paste(lines.at(-1) ?? '')
  expect(headers.get('x-credits-remaining')).toBe('9999.909')
})

test('org create and key create work beside the running server, and the key they print works.', async () => {
  dataDir = await newDataDir()
  const curl = (await start()).at(-1) ?? ''
  const cli = async (...args: string[]) =>
    JSON.parse((await run(process.execPath, [MAIN, ...args, '--data-dir', dataDir], { env: ENV })).stdout)
  const organization = await cli('org', 'create', '--name', 'acme', '--plan', 'platform', '--credits', '10000')
  expect(organization).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    name: 'acme',
    plan: 'platform',
    credits: '10000',
  })
  const key = await cli('key', 'create', '--org', 'acme', '--user', 'alice', '--allocate', '5000')
  expect(key).toMatchObject({
    key: expect.stringMatching(/^uc_[0-9a-f]{64}$/),
    user: 'alice',
    remaining_credits: '5000',
  })
  const { status, headers } = await paste(curl.replace(/uc_[0-9a-f]{64}/, key.key))
  expect([status, headers.get('x-credits-remaining')]).toEqual([200, '4999.954'])
})

test('Before npm ci, npm start and npx tollgate say what to do.', async () => {
  const clone = await mkdtemp(join(tmpdir(), 'tollgate-clone-'))
  await cp(join(START, '..'), join(clone, 'bin'), { recursive: true })
  const expected = { code: 1, stderr: 'tollgate: nothing is installed yet. Run: npm ci\n' }
  await expect(run(join(clone, 'bin', 'start'))).rejects.toMatchObject(expected)
  await expect(run(process.execPath, [join(clone, 'bin', 'tollgate.js')])).rejects.toMatchObject(expected)
  await rm(clone, { recursive: true })
})

test('With an old Node and without the one that npm ci brings, npm start says so.', async () => {
  const clone = await mkdtemp(join(tmpdir(), 'tollgate-clone-'))
  await cp(join(START, '..'), join(clone, 'bin'), { recursive: true })
  await mkdir(join(clone, 'node_modules', 'hono'), { recursive: true })
  await writeFile(join(clone, 'node_modules', 'hono', 'package.json'), '{}')
  await writeFile(join(clone, 'node'), '#!/bin/sh\necho v20.20.2\n', { mode: 0o755 })
  const started = run(join(clone, 'bin', 'start'), { env: { PATH: `${clone}:/usr/bin:/bin` } })
  await expect(started).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^tollgate: needs Node 24 or later, and this is v20\.20\.2\. Run npm ci, which brings one;/,
    ),
  })
  await rm(clone, { recursive: true })
})
