/** docs/configuration.md is what an operator believes: it names every setting, none that is not there, and the true defaults. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { PROVIDERS } from '../../providers/registry.ts'
import { loadConfig } from '../../src/config/load.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const PAGE = readFileSync(join(ROOT, 'docs', 'configuration.md'), 'utf8')

/** `tollgate.limits.calls` and the default beside it, as one writes it. */
const ROWS = [...PAGE.matchAll(/^\| `(tollgate\.[\w.]+)` \| `([^`]+)` \|/gm)].map(([, path = '', value = '']) => ({
  path,
  value: JSON.parse(/^[a-z_]+$/.test(value) && !['true', 'false', 'null'].includes(value) ? `"${value}"` : value),
}))

test('The defaults on the page are those of the program: a file that writes them all is the same as one that writes none.', () => {
  expect(ROWS.length).toBeGreaterThan(40)
  const written: Record<string, unknown> = {}
  for (const { path, value } of ROWS) {
    const names = path.split('.')
    let place = written
    for (const name of names.slice(0, -1)) {
      place[name] ??= {}
      place = place[name] as Record<string, unknown>
    }
    place[names.at(-1) ?? ''] = value
  }
  const model =
    'model_list:\n  - model_name: demo\n    litellm_params: { model: openai/gpt-4o-mini, mock_response: Hello }\n'
  const load = (text: string) => loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
  const { config, problems } = load(model + stringify(written))
  // A name that is not there would be a problem: an unknown setting.
  expect(problems).toEqual([])
  expect(config).toEqual(load(model).config)
})

test('The page names every setting that the program reads.', () => {
  const folder = join(ROOT, 'src', 'config')
  const sources = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
  const read = sources.flatMap((text) =>
    [...text.matchAll(/\b(?:take|field|seconds|count|tokens|setting|either)\('([a-z_]+)'/g)].map(
      ([, name = '']) => name,
    ),
  )
  expect(read).toContain('booking_wait_seconds')
  expect(read).toContain('model_group_alias')
  const words = new Set(PAGE.match(/\w+/g))
  expect([...new Set(read)].filter((name) => !words.has(name))).toEqual([])
})

test('The page names every flag and variable of the commands.', () => {
  const options = readFileSync(join(ROOT, 'src', 'commands', 'options.ts'), 'utf8')
  const names = [...options.matchAll(/\b(TOLLGATE_[A-Z_]+)\b/g)].map(([, name = '']) => name)
  expect(names).toContain('TOLLGATE_PORT')
  expect(names.filter((name) => !PAGE.includes(`\`${name}\``))).toEqual([])
})
