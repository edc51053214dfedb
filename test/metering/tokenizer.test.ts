import { get_encoding } from 'tiktoken'
import { afterEach, describe, expect, test } from 'vitest'
import { createTokenizer, type Tokenizer } from '../../src/metering/tokenizer.ts'
import { SAMPLES } from './samples.ts'

let open: Tokenizer[] = []
afterEach(async () => {
  await Promise.all(open.map((tokenizer) => tokenizer.close()))
  open = []
})

function tokenizer(): Tokenizer {
  const created = createTokenizer()
  open.push(created)
  return created
}

describe('the tokenizer', () => {
  test('The tokenizer counts as the published vocabularies do.', async () => {
    const { count } = tokenizer()
    for (const encoding of ['o200k_base', 'cl100k_base'] as const) {
      const vocabulary = get_encoding(encoding)
      for (const text of Object.values(SAMPLES)) {
        if (text.length <= 2_048) expect(await count(text, encoding)).toBe(vocabulary.encode_ordinary(text).length)
      }
      vocabulary.free()
    }
  })

  test('The tokenizer reads special tokens as the text they are in a message.', async () => {
    expect(await tokenizer().count('<|endoftext|>', 'o200k_base')).toBeGreaterThan(1)
  })

  test('The tokenizer counts nothing as nothing.', async () => {
    expect(await tokenizer().count('', 'o200k_base')).toBe(0)
  })

  test('The tokenizer counts large texts in its thread, within half a percent of the whole.', async () => {
    const { count } = tokenizer()
    const text = [SAMPLES.prose, SAMPLES.russian, SAMPLES.chinese, SAMPLES.typescript, SAMPLES.emoji]
      .join('\n')
      .repeat(40)
    const vocabulary = get_encoding('o200k_base')
    const exact = vocabulary.encode_ordinary(text).length
    vocabulary.free()
    const counts = await Promise.all([
      count(text, 'o200k_base'),
      count('hello', 'o200k_base'),
      count(`${text} `, 'o200k_base'),
    ])
    expect(Math.abs((counts[0] ?? 0) - exact)).toBeLessThan(exact * 0.005)
    expect(counts[1]).toBe(1)
  })

  test('The tokenizer counts a megabyte of one letter, which merged whole would take minutes.', async () => {
    // 8 letters a token, in pieces of 512
    expect(await tokenizer().count('a'.repeat(1_048_576), 'o200k_base')).toBe(131_072)
  })

  test('The tokenizer takes a text beyond a mebibyte by its parts, within a hundredth where they are alike.', async () => {
    const { count } = tokenizer()
    const line = `${SAMPLES.prose} ${SAMPLES.russian}\n`
    const mebibyte = line.repeat(Math.floor(1_048_576 / line.length))
    const [one, five] = await Promise.all([count(mebibyte, 'o200k_base'), count(mebibyte.repeat(5), 'o200k_base')])
    expect(Math.abs(five! / 5 - one!)).toBeLessThan(one! / 100)
  })

  test('The tokenizer lets organizations take turns: a short text is counted before a long one that came first.', async () => {
    const { count } = tokenizer()
    const order: string[] = []
    const long = Array.from({ length: 4 }, () =>
      count('zwsp\u200b'.repeat(100_000), 'o200k_base', 'many').then(() => order.push('long')),
    )
    const short = count('word '.repeat(2_000), 'o200k_base', 'few').then((tokens) => order.push(`short ${tokens}`))
    await Promise.all([...long, short])
    expect(order).toEqual(['short 2001', 'long', 'long', 'long', 'long'])
  })

  test('The tokenizer cuts no character in two.', async () => {
    expect(await tokenizer().count(`a${'😀'.repeat(3_000)}`, 'o200k_base')).toBe(3_001)
  })

  test('The tokenizer rejects when closed, what is being counted included.', async () => {
    const created = createTokenizer()
    const counting = expect(created.count('word '.repeat(200_000), 'o200k_base')).rejects.toThrow('closed')
    await created.close()
    await counting
    await expect(created.count('a', 'o200k_base')).rejects.toThrow('closed')
    await created.close()
  })
})
