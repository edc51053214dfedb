/** The list of tricks that did not succeed on 5dec4d5 names tricks that exist. */
import { expect, test } from 'vitest'
import { CATALOGUE } from './catalogue/index.ts'
import { readGuards } from './guards.ts'

test('Every guard names a trick of the catalogue, in which no name stands twice.', async () => {
  const names = Object.entries(CATALOGUE).flatMap(([theme, tricks]) => tricks.map(({ name }) => `${theme}: ${name}`))
  expect(new Set(names).size).toBe(names.length)
  const themes = Object.keys(CATALOGUE)
  // Those that need Go or decoders are made where these are installed.
  const guards = [...(await readGuards())].filter((line) => themes.some((theme) => line.startsWith(`${theme}: `)))
  expect(guards.filter((line) => !names.includes(line))).toEqual([])
})
