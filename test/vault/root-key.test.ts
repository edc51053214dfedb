/** Root keys that stop the start, with what to do; and the one Tollgate makes for its own store. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readRootConfig } from '../../src/vault/root-config.ts'
import { rawRoot, rootWeakness } from '../../src/vault/root-key.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-root-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const HOW = 'Take 32 random bytes: openssl rand -base64 32'
const strong = 'nP1v0rYb3bq5mE3l0m8u2Yk7x1cX9QfJ4sZ6tD8gHaw='
const base64 = (bytes: Iterable<number> | string) => Buffer.from(bytes as string).toString('base64')
const read = (env: Record<string, string>, embedded = false) =>
  readRootConfig(env, { embedded, dataDir: folder }).then(
    ({ roots }) => roots.map(({ name }) => name),
    (error: Error) => error.message,
  )

describe('outside the embedded store', () => {
  test('Outside the embedded store a root key is needed.', async () => {
    expect(await read({})).toBe(
      'There is no root key to seal provider keys with. Set TOLLGATE_ROOT_KEY to 32 random bytes in base64 (openssl rand ' +
        '-base64 32) or TOLLGATE_ROOT_KEY_FILE to a file with them, the same on every instance, and keep it: without it ' +
        'stored provider keys are lost.',
    )
    expect(await read({ TOLLGATE_ROOT_KEY: '' })).toContain('There is no root key')
  })

  test.each([
    [' ', `TOLLGATE_ROOT_KEY holds no root key. ${HOW}`],
    ['not+base64!', `The root key in TOLLGATE_ROOT_KEY is not base64. ${HOW}`],
    [
      base64(randomBytes(16)),
      `The root key in TOLLGATE_ROOT_KEY has 16 bytes instead of 32, or lost characters when it was copied. ${HOW}`,
    ],
    [
      'ab'.repeat(32),
      `The root key in TOLLGATE_ROOT_KEY has 48 bytes instead of 32 (hex is not taken, base64 is), or lost characters when it was copied. ${HOW}`,
    ],
  ])('%j is refused as a root key.', async (text, message) => {
    expect(await read({ TOLLGATE_ROOT_KEY: text })).toBe(message)
  })

  test.each([
    ['zeros', base64(new Uint8Array(32)), 'repeats a pattern'],
    ['one byte', base64(new Uint8Array(32).fill(0xa5)), 'repeats a pattern'],
    [
      'two halves',
      base64(Buffer.concat([Buffer.from('00112233445566778899aabbccddeeff', 'hex')].flatMap((b) => [b, b]))),
      'repeats a pattern',
    ],
    ['0 to 31', base64(Array.from({ length: 32 }, (_, at) => at)), 'repeats a pattern'],
    ['255 to 224', base64(Array.from({ length: 32 }, (_, at) => 255 - at)), 'repeats a pattern'],
    ['a word', base64('changeme-changeme-changeme-12345'), 'is text, not random bytes'],
    ['hex digits', base64(randomBytes(16).toString('hex')), 'is text, not random bytes'],
    [
      'the one of NIST SP 800-38A',
      base64(Buffer.from('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4', 'hex')),
      'is a published example',
    ],
  ])('%s can be guessed, and is refused as a root key.', async (_, text, weakness) => {
    expect(await read({ TOLLGATE_ROOT_KEY: text })).toBe(
      `The root key ${weakness}, so provider keys would not be safe. ${HOW}`,
    )
  })

  test('Random root keys are not called weak.', () => {
    for (let n = 0; n < 1_000; n++) expect(rootWeakness(rawRoot(randomBytes(32)))).toBeNull()
  })

  test('A root key is taken from the variable or from a file, several are all known, and their names tell nothing.', async () => {
    const file = join(folder, 'keys')
    const next = base64(randomBytes(32))
    await writeFile(file, `${strong}\n${next}\n`)
    const [name] = await read({ TOLLGATE_ROOT_KEY: strong })
    expect(name).toMatch(/^[0-9a-f]{16}$/)
    expect(Buffer.from(strong, 'base64').toString('hex')).not.toContain(name)
    const names = await read({ TOLLGATE_ROOT_KEY_FILE: file })
    expect(names).toEqual([name, rawRoot(Buffer.from(next, 'base64')).name])
    expect(await read({ TOLLGATE_ROOT_KEY: `${strong}, ${next}` })).toEqual(names)
    expect(await read({ TOLLGATE_ROOT_KEY: strong, TOLLGATE_ROOT_KEY_FILE: file })).toBe(
      'Set TOLLGATE_ROOT_KEY or TOLLGATE_ROOT_KEY_FILE, not both.',
    )
    expect(await read({ TOLLGATE_ROOT_KEY_FILE: join(folder, 'nothing') })).toBe(
      `TOLLGATE_ROOT_KEY_FILE names ${join(folder, 'nothing')}, which can't be read (ENOENT).`,
    )
  })

  test('A key in KMS is named by its ARN.', async () => {
    const arn = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'
    expect(await read({ TOLLGATE_KMS_KEY_ARN: arn })).toEqual([arn])
    expect(await read({ TOLLGATE_KMS_KEY_ARN: arn, TOLLGATE_ROOT_KEY: strong })).toEqual([arn, expect.any(String)])
    for (const wrong of ['alias/tollgate', 'arn:aws:kms:eu-central-1:123456789012:alias/tollgate'])
      expect(await read({ TOLLGATE_KMS_KEY_ARN: wrong })).toContain('is not the ARN of a KMS key')
  })
})

describe('with the embedded store', () => {
  test('With the embedded store a root key is made once, for its owner only.', async () => {
    const both = await Promise.all([read({}, true), read({}, true)])
    expect(both[0]).toEqual(both[1])
    expect(await read({}, true)).toEqual(both[0])
    const file = join(folder, 'root-key')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(rootWeakness(rawRoot(Buffer.from(await readFile(file, 'utf8'), 'base64')))).toBeNull()
  })

  test('With the embedded store a weak root key is a warning, and a short one is still no key.', async () => {
    const { warnings } = await readRootConfig(
      { TOLLGATE_ROOT_KEY: base64(new Uint8Array(32)) },
      { embedded: true, dataDir: folder },
    )
    expect(warnings).toEqual([
      `The root key repeats a pattern, so provider keys would not be safe. ${HOW} (with a database of your own this stops the start)`,
    ])
    expect(await read({ TOLLGATE_ROOT_KEY: 'AAAA' }, true)).toContain('has 3 bytes instead of 32')
  })
})
