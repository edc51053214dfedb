/** What was sealed opens in its place, under its root key, unchanged; anything else is refused with a reason. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { contextOf } from '../../src/vault/key-owner.ts'
import { rawRoot } from '../../src/vault/root-key.ts'
import { createSealer, sealedUnder } from '../../src/vault/sealer.ts'
import { UnreadableKeyError } from '../../src/vault/unreadable-key-error.ts'

const sealer = createSealer()
const root = rawRoot(randomBytes(32))
const other = rawRoot(randomBytes(32))
const here = contextOf('openai', { kind: 'user', id: 'älice' })
const KEY = 'sk-proj-a-key-that-nobody-has'

async function reasonOf(sealed: string, context = here, roots = [root]): Promise<string> {
  try {
    return `opened: ${await sealer.open(sealed, context, roots)}`
  } catch (error) {
    expect(error).toBeInstanceOf(UnreadableKeyError)
    expect((error as Error).message).not.toContain(KEY)
    return (error as UnreadableKeyError).reason
  }
}

test('A sealed key opens to what was sealed, and never looks the same twice.', async () => {
  const [one, two] = [await sealer.seal(KEY, here, root), await sealer.seal(KEY, here, root)]
  expect(one).not.toBe(two)
  expect(await sealer.open(one, here, [other, root])).toBe(KEY)
  expect(sealedUnder(one)).toBe(root.name)
  // Version 2 of the message format, suite 0x0478: AES-256-GCM, HKDF, key commitment, no signature.
  expect(Buffer.from(one.split(':')[2]!, 'base64').subarray(0, 3).toString('hex')).toBe('020478')
})

test('A sealed key that was moved names the place it was sealed for.', async () => {
  const sealed = await sealer.seal(KEY, here, root)
  const elsewhere = [
    contextOf('openai', { kind: 'user', id: 'bob' }),
    contextOf('groq', { kind: 'user', id: 'älice' }),
    contextOf('openai', { kind: 'organization', id: 'älice' }),
    contextOf('openai', { kind: 'platform' }),
    { ...here, more: 'than that' },
    { purpose: here.purpose!, provider: here.provider! },
  ]
  for (const context of elsewhere) expect(await reasonOf(sealed, context)).toBe('misplaced')
  await expect(sealer.open(sealed, elsewhere[0]!, [root])).rejects.toThrow(
    'it was sealed for another place (provider-key, openai, user:älice) and moved here; save the key again',
  )
})

test('A sealed key is refused when it is cut anywhere or changed in any byte.', async () => {
  const sealed = await sealer.seal(KEY, here, root)
  const message = Buffer.from(sealed.split(':')[2]!, 'base64')
  const form = (bytes: Buffer) => `tollgate:${root.name}:${bytes.toString('base64')}`
  expect(await reasonOf(form(message))).toBe(`opened: ${KEY}`)
  for (let at = 0; at < message.length; at++) {
    const changed = Buffer.from(message)
    changed[at] = changed[at]! ^ (1 << (at % 8))
    expect([at, await reasonOf(form(changed))]).toEqual([at, 'damaged'])
    expect([at, await reasonOf(form(message.subarray(0, at)))]).toEqual([at, at === 0 ? 'not_sealed' : 'damaged'])
  }
})

test('A sealed key says which root key it needs.', async () => {
  const sealed = await sealer.seal(KEY, here, other)
  await expect(sealer.open(sealed, here, [root])).rejects.toThrow(
    `it is sealed under root key ${other.name}, and here is ${root.name}; give this process that root key as well, or save the key again`,
  )
  // A label that lies does not help.
  expect(await reasonOf(sealed.replace(other.name, root.name))).toBe('damaged')
  expect(await reasonOf((await sealer.seal(KEY, here, root)).replace(root.name, other.name), here, [root, other])).toBe(
    'damaged',
  )
})

test.each(['', 'sk-in-clear', 'tollgate:', 'tollgate:x:', 'tollgate:x:%%%%', '\0'])(
  '%j was not sealed.',
  async (text) => {
    expect(await reasonOf(text)).toBe('not_sealed')
  },
)

test('The SDK is loaded with the first key, and of it only what a root key needs.', () => {
  const source = (name: string) => JSON.stringify(fileURLToPath(new URL(`../../src/vault/${name}`, import.meta.url)))
  const program = `import { createRequire } from 'node:module'
    import ${source('vault.ts')}
    const { createSealer } = await import(${source('sealer.ts')})
    const { rawRoot } = await import(${source('root-key.ts')})
    const sealer = createSealer()
    const loaded = (part) => Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes(part))
    const before = loaded('@aws-crypto')
    await sealer.seal('key', {}, rawRoot(Buffer.alloc(32)))
    console.log(before, loaded('@aws-crypto'), loaded('@aws-sdk'))`
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  expect(output).toBe('false true false\n')
})
