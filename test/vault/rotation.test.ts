/** Rotation while two instances serve calls: real processes, the real command, nothing restarted, nothing failed. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type RawRoot, RootKeyError } from '../../src/vault/root-key.ts'
import { rotate } from '../../src/vault/rotate.ts'
import { createSealer, sealedUnder } from '../../src/vault/sealer.ts'
import { useDatabase } from '../support/database.ts'
import { type ScriptedKms, startKms } from '../support/kms.ts'
import { newRootKey, openTestVault } from '../support/vault.ts'

const db = useDatabase()
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const INSTANCE = fileURLToPath(new URL('../support/vault-process.ts', import.meta.url))
const change = { actor: 'test', ip: null, requestId: null }
const KEY = 'sk-proj-platform-0123456789'
const ALICE = 'sk-proj-alice-0123456789'
const USERS = 15

let folder: string
let root: RawRoot
let children: ChildProcess[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-rotation-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  root = newRootKey()
  await seed()
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  children = []
  await db.pool.query('delete from platform_settings; delete from user_provider_keys; delete from tollgate.vault_root')
})

async function seed(): Promise<void> {
  const vault = await openTestVault(db, { roots: [root] })
  await vault.save('openai', { kind: 'platform' }, KEY, change)
  await vault.save('groq', { kind: 'platform' }, 'gsk_0-0123456789', change)
  await vault.save('openai', { kind: 'user', id: 'alice' }, ALICE, change)
  for (let n = 0; n < USERS; n++) await vault.save('openai', { kind: 'user', id: `user-${n}` }, `${ALICE}-${n}`, change)
  await vault.close()
}

const text = ({ bytes }: RawRoot) => bytes.toString('base64')
const environment = (env: Record<string, string>) => ({ PATH: process.env.PATH ?? '', DATABASE_URL: db.url, ...env })

interface Instance {
  url: string
  output(): string
}

async function startInstance(env: Record<string, string>): Promise<Instance> {
  const child = spawn(process.execPath, [INSTANCE], { env: environment(env), stdio: 'pipe' })
  children.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      output += piece
      child.emit('output')
    })
  }
  const gone = once(child, 'close').then(() => {
    throw new Error(`it ended: ${output}`)
  })
  while (!/^port \d+$/m.test(output)) await Promise.race([once(child, 'output'), gone])
  gone.catch(() => {})
  return { url: `http://127.0.0.1:${/^port (\d+)$/m.exec(output)?.[1]}`, output: () => output }
}

/** Calls and changes without a pause until told to stop; answers how many calls there were and which of them went wrong. */
function load(instances: readonly Instance[]) {
  let running = true
  let calls = 0
  let saved = 0
  const wrong: string[] = []
  const call = async ({ url }: Instance) => {
    while (running) {
      const answer = await fetch(url).then((response) => response.text())
      calls += 1
      const [platform, alice, groq] = answer.startsWith('[') ? JSON.parse(answer) : [answer]
      if (platform !== KEY || alice !== ALICE || !/^gsk_\d+-0123456789$/.test(groq)) wrong.push(answer)
    }
  }
  const save = async ({ url }: Instance) => {
    while (running) {
      saved += 1
      const answer = await fetch(`${url}/?key=gsk_${saved}-0123456789`, { method: 'POST' }).then((got) => got.text())
      if (answer !== 'stored') wrong.push(answer)
    }
  }
  const done = Promise.all([
    ...instances.flatMap((instance) => [call(instance), call(instance)]),
    ...instances.map(save),
  ])
  return async () => {
    running = false
    await done
    return { calls, saved, wrong }
  }
}

function tollgate(
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: environment(env) }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

async function sealedBy(): Promise<(string | null)[]> {
  const { rows } = await db.pool.query(
    'select value as sealed from platform_settings union all select api_key_encrypted from user_provider_keys',
  )
  expect(rows.length).toBe(USERS + 3)
  return [...new Set(rows.map((row) => sealedUnder(row.sealed)))]
}

test('Under load on two instances no call fails, no change is lost, and the old root key opens nothing afterwards.', async () => {
  const next = newRootKey()
  const file = join(folder, 'next')
  await writeFile(file, text(next))
  const instances = [
    await startInstance({ TOLLGATE_ROOT_KEY: text(root) }),
    await startInstance({ TOLLGATE_ROOT_KEY: text(root) }),
  ]
  const stop = load(instances)
  const rotated = await tollgate(['keys', 'rotate', '--new-root-key-file', file], { TOLLGATE_ROOT_KEY: text(root) })
  expect(rotated).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(rotated.stdout)).toMatchObject({
    root_key: next.name,
    previous: root.name,
    fernet: 0,
    unreadable: [],
  })
  // A third, started with the new one, has the same keys.
  const third = await startInstance({ TOLLGATE_ROOT_KEY: text(next) })
  expect(JSON.parse(await fetch(third.url).then((answer) => answer.text())).slice(0, 2)).toEqual([KEY, ALICE])
  const { calls, saved, wrong } = await stop()
  expect(wrong).toEqual([])
  expect(calls).toBeGreaterThan(100)
  expect(saved).toBeGreaterThan(10)
  expect(await sealedBy()).toEqual([next.name])
  const { rows } = await db.pool.query('select name, previous, handover, way_back from tollgate.vault_root')
  expect(rows).toEqual([{ name: next.name, previous: null, handover: null, way_back: null }])
  await expect(openTestVault(db, { roots: [root] })).rejects.toBeInstanceOf(RootKeyError)
  for (const { output } of instances) expect(output()).toMatch(/^port \d+\n$/)
})

test('During a rotation an instance may start with either root key.', async () => {
  const next = newRootKey()
  // Somebody who is deaf holds it up before anything is sealed anew.
  const deaf = await db.pool.connect()
  try {
    await deaf.query('select pg_advisory_lock_shared(80840015, 0)')
    const options = { roots: [root], target: next, sealer: createSealer(), change, patienceMs: 1 }
    await expect(rotate(db.database, options)).rejects.toThrow(
      /^1 running instances can't open with root key [0-9a-f]{16} \(database connections \d+\), so nothing was sealed anew\./,
    )
    for (const roots of [[root], [next]]) {
      const vault = await openTestVault(db, { roots })
      expect(await vault.find('openai', { kind: 'platform' })).toBe(KEY)
      await vault.save('groq', { kind: 'platform' }, 'gsk_1-0123456789', change)
      const { rows } = await db.pool.query("select value from platform_settings where key = 'groq_api_key'")
      expect(sealedUnder(rows[0].value)).toBe(next.name)
      await vault.close()
    }
    await expect(rotate(db.database, { ...options, target: newRootKey() })).rejects.toThrow(
      `A rotation to root key ${next.name} is under way and not finished.`,
    )
  } finally {
    deaf.release(true)
  }
  const report = await rotate(db.database, {
    roots: [root],
    target: next,
    sealer: createSealer(),
    change,
    patienceMs: 5_000,
  })
  expect(report).toEqual({ root_key: next.name, previous: root.name, resealed: USERS + 2, fernet: 0, unreadable: [] })
  expect(await sealedBy()).toEqual([next.name])
})

test('A key that was being stored when the root key changed is not left behind under the old one.', async () => {
  const next = newRootKey()
  const vault = await openTestVault(db, { roots: [root] })
  const blocker = await db.pool.connect()
  const blocked = async (count: number) => {
    const { rows } = await db.pool.query(
      "select count(*)::integer as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    expect(rows[0].n).toBe(count)
  }
  try {
    await blocker.query("begin; select from platform_settings where key = 'groq_api_key' for update")
    const saving = vault.save('groq', { kind: 'platform' }, 'gsk_9-0123456789', change)
    await vi.waitFor(() => blocked(1), 5_000)
    const rotating = rotate(db.database, {
      roots: [root],
      target: next,
      sealer: createSealer(),
      change,
      patienceMs: 5_000,
    })
    await vi.waitFor(() => blocked(2), 5_000)
    await blocker.query('commit')
    await Promise.all([saving, rotating])
  } finally {
    blocker.release(true)
    await vault.close()
  }
  expect(await sealedBy()).toEqual([next.name])
})

test('A key that did not open before is named, and the others are sealed anew.', async () => {
  await db.pool.query("update platform_settings set value = left(value, -8) where key = 'openai_api_key'")
  const next = newRootKey()
  const report = await rotate(db.database, {
    roots: [root],
    target: next,
    sealer: createSealer(),
    change,
    patienceMs: 5_000,
  })
  expect(report).toMatchObject({
    resealed: USERS + 2,
    unreadable: [
      { key: 'platform/openai_api_key', problem: 'it was cut or changed since it was sealed; save the key again' },
    ],
  })
})

test('Keys move from a root key to KMS and back while the instances have both.', async () => {
  const kms: ScriptedKms = await startKms()
  try {
    const both = { TOLLGATE_ROOT_KEY: text(root), TOLLGATE_KMS_KEY_ARN: kms.arn, ...kms.env }
    const instances = [await startInstance(both), await startInstance(both)]
    const stop = load(instances)
    const there = await tollgate(['keys', 'rotate'], both)
    expect(there).toMatchObject({ code: 0, stderr: '' })
    expect(await sealedBy()).toEqual([kms.arn])
    const file = join(folder, 'back')
    const back = newRootKey()
    await writeFile(file, text(back))
    expect(await tollgate(['keys', 'rotate', '--new-root-key-file', file], both)).toMatchObject({ code: 0, stderr: '' })
    expect((await stop()).wrong).toEqual([])
    expect(await sealedBy()).toEqual([back.name])
  } finally {
    await kms.close()
  }
})

test("A rotation to KMS changes nothing while an instance can't reach KMS.", async () => {
  const vault = await openTestVault(db, { roots: [root] })
  const target = { kind: 'kms', name: 'arn:aws:kms:eu-central-1:123456789012:key/1' } as const
  const options = { roots: [target, root], target, sealer: createSealer(), change, patienceMs: 1 }
  await expect(rotate(db.database, options)).rejects.toThrow(
    'Start them with TOLLGATE_KMS_KEY_ARN, then run this again.',
  )
  await vault.close()
  const { rows } = await db.pool.query('select name, previous from tollgate.vault_root')
  expect(rows).toEqual([{ name: root.name, previous: null }])
})
