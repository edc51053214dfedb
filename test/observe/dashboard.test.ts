/** What the dashboard and the alerts ask for is what the product prints, and the dashboard shows all of it. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { useProduct } from '../support/product.ts'
import { get, postChat } from '../support/tollgate.ts'

interface Panel {
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  fieldConfig?: { defaults: { unit: string } }
  targets?: { expr: string; datasource: { uid: string } }[]
}

const product = useProduct()
const read = (path: string) => readFile(fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url)), 'utf8')
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

/** Names of series, histograms by their three; and of the metrics that are ours. */
async function printed(): Promise<{ series: Set<string>; own: string[] }> {
  const { body } = await get(product.tollgate, null, '/metrics')
  const types = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => ({ name, type }))
  const series = types.flatMap(({ name, type }) =>
    type === 'histogram' ? ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`) : [name],
  )
  return { series: new Set(series), own: types.map(({ name }) => name).filter((name) => name.startsWith('tollgate_')) }
}

function namesIn(expr: string): string[] {
  return expr.match(/\b(?:tollgate|process|nodejs)_[a-z0-9_]+/g) ?? []
}

async function panels(): Promise<Panel[]> {
  return (JSON.parse(await read('grafana/tollgate.json')) as { panels: Panel[] }).panels
}

test('Every metric has a panel, and every panel a metric.', async () => {
  const acme = await product.db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  for (const stream of [false, true]) await postChat(product.tollgate, acme.keys.alice, { ...HELLO, stream })
  const { series, own } = await printed()
  const asked = (await panels()).flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => namesIn(expr)))
  expect(asked.filter((name) => !series.has(name))).toEqual([])
  expect(own.length).toBeGreaterThan(20)
  expect(own.filter((name) => !asked.some((one) => one.replace(/_(?:bucket|sum|count)$/, '') === name))).toEqual([])
})

test('Every panel has queries on the data source that was chosen, a unit, and a place of its own.', async () => {
  const taken = new Set<string>()
  for (const { type, title, targets = [], fieldConfig, gridPos } of await panels()) {
    for (let column = gridPos.x; column < gridPos.x + gridPos.w; column += 1) {
      for (let line = gridPos.y; line < gridPos.y + gridPos.h; line += 1) {
        expect(taken.has(`${column} ${line}`), title).toBe(false)
        taken.add(`${column} ${line}`)
      }
    }
    if (type === 'row') continue
    expect(targets, title).not.toHaveLength(0)
    expect(fieldConfig?.defaults.unit, title).toBeTypeOf('string')
    for (const { datasource } of targets) expect(datasource.uid, title).toBe(['$', '{datasource}'].join(''))
  }
})

test('Alerts ask for metrics there are.', async () => {
  const { series } = await printed()
  const { groups } = parse(await read('prometheus/alerts.yml')) as { groups: { rules: { expr: string }[] }[] }
  const rules = groups.flatMap(({ rules: some }) => some)
  expect(rules.length).toBeGreaterThan(5)
  for (const { expr } of rules) for (const name of namesIn(expr)) expect(series, expr).toContain(name)
})
