/** A list of places (`messages[].content[].text`, `metadata.*`) as a tree, and what of a request stands outside it. */
import { fold } from './fold.ts'

export interface Shape {
  members: ReadonlyMap<string, Shape>
  /** The same names by what they fold to. */
  folded: ReadonlyMap<string, string>
  /** Names below are the caller's own: a schema's properties, keys of metadata. */
  free: boolean
}

/** Names and positions from the top of the request: `['messages', 0, 'name']`. */
export type Path = readonly (string | number)[]

/** A member that is on no list, and what it holds. */
export interface Stranger {
  path: Path
  value: unknown
}

interface OpenShape extends Shape {
  members: Map<string, OpenShape>
  folded: Map<string, string>
}

/** Lists have the shape of their elements: `stop` and `stop[]` are one place. */
export function shapeOf(places: readonly string[]): Shape {
  const root = emptyShape()
  for (const place of places) {
    let at = root
    for (const name of place.replaceAll('[]', '').split('.')) {
      if (name === '*') {
        at.free = true
        continue
      }
      let below = at.members.get(name)
      if (below === undefined) {
        below = emptyShape()
        at.members.set(name, below)
        at.folded.set(fold(name), name)
      }
      at = below
    }
  }
  return root
}

function emptyShape(): OpenShape {
  return { members: new Map(), folded: new Map(), free: false }
}

/** The shape at a path, positions in lists left aside. */
export function shapeAt(shape: Shape, path: Path): Shape | undefined {
  let at: Shape | undefined = shape
  for (const step of path) if (typeof step === 'string') at = at?.members.get(step)
  return at
}

/**
 * The known name that a member at this path may be taken for; null for none, and for a known name itself. Where both stand in a
 * request, the server's choice is not the one that was priced.
 */
export function aliasOf(path: Path, known: Shape): string | null {
  const name = path.at(-1)
  const siblings = shapeAt(known, path.slice(0, -1))
  if (typeof name !== 'string' || siblings === undefined || siblings.members.has(name)) return null
  return siblings.folded.get(fold(name)) ?? null
}

/** What stands in a value beyond its shape, in order; nothing below a stranger is looked at. One visit to each value: linear. */
export function strangersIn(value: unknown, shape: Shape, path: Path = []): Stranger[] {
  const found: Stranger[] = []
  collect(value, shape, [...path], found)
  return found
}

/** Requests nest no deeper than their reader allows, which bounds the recursion. */
function collect(value: unknown, shape: Shape, path: (string | number)[], found: Stranger[]): void {
  if (shape.free || typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      path.push(index)
      collect(value[index], shape, path, found)
      path.pop()
    }
    return
  }
  for (const name of Object.keys(value)) {
    const below = shape.members.get(name)
    const member = (value as Record<string, unknown>)[name]
    path.push(name)
    if (below === undefined) found.push({ path: [...path], value: member })
    else collect(member, below, path, found)
    path.pop()
  }
}

/** As lists of places write it: `messages[].name`. */
export function placeOf(path: Path): string {
  return join(path, () => '[]')
}

const SHOWN_MAX = 100

/** For an error: `messages[0].name`. What is not plain ASCII is escaped, for `max_to\u212aens` is shown because it looks like another name. */
export function showPath(path: Path): string {
  return inAscii(join(path, (index) => `[${index}]`))
}

/** The same of a place. */
export function showPlace(path: Path): string {
  return inAscii(placeOf(path))
}

function join(path: Path, indexed: (index: number) => string): string {
  return path.map((step, at) => (typeof step === 'number' ? indexed(step) : `${at === 0 ? '' : '.'}${step}`)).join('')
}

function inAscii(text: string): string {
  const code = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  return text.slice(0, SHOWN_MAX).replace(/[^ -~]/g, code)
}
