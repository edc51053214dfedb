/**
 * Which room may know which. Types count: a type that is imported is something to read before the importer is understood.
 * The list is that of CONTRIBUTING.md, from the top down.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')

/**
 * Each room imports from lower lines, and from its own line where that makes no circle of rooms. `admission` is beside `identity`: it
 * bounds callers by who they are, and `identity` asks it how many unknown keys an address may try, in files that do not need each other.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['main', 'small-heap', 'compile-cache'],
  ['commands'],
  ['server'],
  ['workers'],
  ['app'],
  ['endpoints', 'api'],
  ['call', 'billing', 'reports', 'outbox', 'moving', 'backup', 'reconcile'],
  ['admission', 'routing', 'ledger', 'identity', 'idempotency'],
  ['metering', 'vault'],
  ['config', 'db', 'http', 'observe'],
  ['providers'],
]

/** Imports and re-exports, types included, imports that run, and files that a worker is started with. */
const IMPORTS =
  /^(?:import|export)\b[^'"]*?['"](\.[^'"]+)['"]|\bimport\(['"](\.[^'"]+)['"]\)|new URL\(['"](\.[^'"]+\.ts)['"]/gm

const graph = new Map(sources().map((file) => [file, importsOf(file)]))

test('Every room has its line in the order of imports.', () => {
  expect([...new Set([...graph.keys()].map(roomOf))].filter((room) => lineOf(room) < 0)).toEqual([])
})

test('Imports run downwards only, types included.', () => {
  const upwards = edges().filter(([from, to]) => lineOf(roomOf(to)) < lineOf(roomOf(from)))
  expect(upwards.map(([from, to]) => `${from} -> ${to}`)).toEqual([])
})

test('No files import each other in a circle, types included.', () => {
  expect(circles(graph)).toEqual([])
})

test('providers/ imports nothing of src/.', () => {
  const outside = edges().filter(([from, to]) => roomOf(from) === 'providers' && roomOf(to) !== 'providers')
  expect(outside.map(([from, to]) => `${from} -> ${to}`)).toEqual([])
})

test('The scanner sees imports of every form, so that the tests above can fail.', () => {
  const seen = (from: string, to: string) => expect(graph.get(from), `${from} -> ${to}`).toContain(to)
  seen('src/main.ts', 'src/commands/options.ts')
  seen('src/config/config.ts', 'src/config/problem.ts')
  seen('src/metering/tokenizer.ts', 'src/metering/tokenizer-worker.ts')
  seen('providers/openai-dialect.ts', 'providers/provider.ts')
  const ring = new Map([
    ['a', ['b']],
    ['b', ['c', 'd']],
    ['c', ['a']],
    ['d', []],
  ])
  expect(circles(ring)).toEqual([['a', 'b', 'c']])
})

function sources(): string[] {
  const under = (folder: string) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`)
  return [...under('src'), ...under('providers')].filter((file) => file.endsWith('.ts'))
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return [...text.matchAll(IMPORTS)]
    .map((match) => posix.join(posix.dirname(file), match[1] ?? match[2] ?? match[3] ?? ''))
    .filter((target) => target.endsWith('.ts'))
}

function edges(): [from: string, to: string][] {
  return [...graph].flatMap(([from, targets]) => targets.map((to): [string, string] => [from, to]))
}

/** `src/call/serve-call.ts` is in the room `call`, `src/app.ts` in `app`, all of `providers/` in `providers`. */
function roomOf(file: string): string {
  const [top, next = ''] = file.split('/')
  return top === 'src' ? next.replace(/\.ts$/, '') : (top ?? '')
}

function lineOf(room: string): number {
  return LAYERS.findIndex((rooms) => rooms.includes(room))
}

/** Groups of files each of which reaches all others of its group. */
function circles(of: ReadonlyMap<string, readonly string[]>): string[][] {
  const reached = new Map([...of.keys()].map((file) => [file, reachOf(of, file)]))
  const found = new Map<string, string[]>()
  for (const [file, reach] of reached) {
    if (!reach.has(file)) continue
    const group = [...reach].filter((other) => reached.get(other)?.has(file))
    group.sort((one, other) => (one < other ? -1 : 1))
    found.set(group.join(), group)
  }
  return [...found.values()]
}

function reachOf(of: ReadonlyMap<string, readonly string[]>, start: string): Set<string> {
  const reach = new Set<string>()
  const next = [...(of.get(start) ?? [])]
  for (let file = next.pop(); file !== undefined; file = next.pop()) {
    if (reach.has(file)) continue
    reach.add(file)
    next.push(...(of.get(file) ?? []))
  }
  return reach
}
