/** The root key in KMS, and what happens when KMS can't be asked. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { contextOf } from '../../src/vault/key-owner.ts'
import type { KmsRoot } from '../../src/vault/root-key.ts'
import { createSealer } from '../../src/vault/sealer.ts'
import { UnreadableKeyError } from '../../src/vault/unreadable-key-error.ts'
import { type ScriptedKms, startKms } from '../support/kms.ts'
import { newRootKey } from '../support/vault.ts'

let kms: ScriptedKms
let root: KmsRoot
const here = contextOf('openai', { kind: 'platform' })
const KEY = 'sk-proj-a-key-that-nobody-has'

beforeAll(async () => {
  kms = await startKms()
  root = { kind: 'kms', name: kms.arn }
  for (const [name, value] of Object.entries(kms.env)) vi.stubEnv(name, value)
})
beforeEach(() => {
  kms.refuse(null)
  kms.requests.length = 0
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await kms.close()
})

test('Keys are sealed and opened by KMS, which is also told the place of the key.', async () => {
  const sealer = createSealer()
  const sealed = await sealer.seal(KEY, here, root)
  expect(sealed.startsWith(`tollgate:${kms.arn}:AgR4`)).toBe(true)
  expect(await sealer.open(sealed, here, [newRootKey(), root])).toBe(KEY)
  expect(kms.requests).toEqual([
    { operation: 'GenerateDataKey', context: here, signed: true },
    { operation: 'Decrypt', context: here, signed: true },
  ])
})

test('A message that was moved, cut or changed is refused for good.', async () => {
  const sealer = createSealer()
  const sealed = await sealer.seal(KEY, here, root)
  const elsewhere = contextOf('groq', { kind: 'platform' })
  await expect(sealer.open(sealed, elsewhere, [root])).rejects.toMatchObject({ reason: 'misplaced' })
  const name = `tollgate:${kms.arn}:`
  const message = Buffer.from(sealed.slice(name.length), 'base64')
  for (let at = 0; at < message.length; at += 7) {
    const changed = Buffer.from(message)
    changed[at] = changed[at]! ^ (1 << (at % 8))
    await expect(sealer.open(`${name}${changed.toString('base64')}`, here, [root])).rejects.toBeInstanceOf(
      UnreadableKeyError,
    )
  }
  await expect(sealer.open(sealed.slice(0, -20), here, [root])).rejects.toMatchObject({ reason: 'damaged' })
})

test('A KMS that refuses or is away is not reported as a damaged key.', async () => {
  const sealer = createSealer()
  const sealed = await sealer.seal(KEY, here, root)
  kms.refuse({ status: 400, type: 'AccessDeniedException', message: 'not allowed' })
  const denied = await sealer.open(sealed, here, [root]).catch((error: unknown) => error)
  expect(denied).not.toBeInstanceOf(UnreadableKeyError)
  expect((denied as Error).message).toBe('KMS did not open it: AccessDeniedException: not allowed')
  kms.refuse({ status: 500, type: 'KMSInternalException', message: 'try again' })
  await expect(sealer.open(sealed, here, [root])).rejects.toThrow('KMS did not open it: KMSInternalException')
  kms.refuse(null)
  expect(await sealer.open(sealed, here, [root])).toBe(KEY)
})
