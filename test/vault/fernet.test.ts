/** Tokens made by Python's cryptography 48.0.0 (`Fernet(key).encrypt`), with keys made for this file. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isFernetToken, openFernet, readFernetKey } from '../../src/vault/fernet.ts'
import type { UnreadableKeyError } from '../../src/vault/unreadable-key-error.ts'

interface Fixture {
  encryptionKey: string
  otherKey: string
  tokens: { text: string; token: string }[]
  tokenOfOther: string
}

const fixture: Fixture = JSON.parse(readFileSync(new URL('./fernet-tokens.json', import.meta.url), 'utf8'))
const key = readFernetKey(fixture.encryptionKey)!
const other = readFernetKey(fixture.otherKey)!
const first = fixture.tokens[0]!.token

const reasonOf = (token: string, keys = [key]) => {
  try {
    return openFernet(token, keys)
  } catch (error) {
    return (error as UnreadableKeyError).reason
  }
}

test.each(fixture.tokens)('The Fernet token of $text is read.', ({ text, token }) => {
  expect(isFernetToken(token)).toBe(true)
  expect(openFernet(token, [key])).toBe(text)
  expect(openFernet(token, [other, key])).toBe(text)
})

test('Text that is not a Fernet key is read as null.', () => {
  for (const text of ['', 'short', fixture.encryptionKey.slice(0, -1), `${fixture.encryptionKey}=`, '+'.repeat(43)])
    expect(readFernetKey(text)).toBeNull()
})

test('Without a key, or under another one, a token is refused and says which.', () => {
  expect(reasonOf(first, [])).toBe('no_fernet_key')
  expect(reasonOf(fixture.tokenOfOther)).toBe('fernet_refused')
  expect(reasonOf(fixture.tokenOfOther, [key, other])).toBe('sk-ant-other-0123456789abcdef')
})

test('Every bit counts, and so does every byte of the length.', () => {
  const bytes = Buffer.from(first, 'base64url')
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at] = changed[at]! ^ (1 << (at % 8))
    expect(reasonOf(changed.toString('base64url'))).toBe('fernet_refused')
    expect(reasonOf(bytes.subarray(0, at).toString('base64url'))).toBe('fernet_refused')
  }
  for (const text of ['gAAAA', `${first} `, `${first}%`, `${first}AAAA`]) expect(reasonOf(text)).toBe('fernet_refused')
})
