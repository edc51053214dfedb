/**
 * The configuration file as a syntax tree that remembers its lines, plus the variables its values may name.
 * Everything read from it reports here, so that one run shows every problem at once.
 */

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import type { KnownProviders } from '../../providers/provider-name.ts'
import { type Problem, showName } from './problem.ts'

export type Env = Readonly<Record<string, string | undefined>>
export type ReadFile = (path: string) => string | null

/** Aliases may expand to this many nodes times their own aliases: far above any real file, far below a memory bomb. */
const MAX_ALIASES = 10_000

/** Names under which `<<` merges other maps into a map, as LiteLLM's YAML reader does. */
const MERGE = '<<'

export interface Entry {
  name: string
  key: Node | null
  value: Node | null
}

export class Source {
  readonly file: string
  readonly providers: KnownProviders
  readonly problems: Problem[] = []
  /** The document's root; null when the file is empty or can't be read. */
  readonly root: Node | null
  readonly #env: Env
  readonly #document: Document
  readonly #lines = new LineCounter()
  readonly #variables: Map<string, string>
  readonly #reported = new Set<string>()

  /** The text of a file that a value names; null where it can't be read. */
  readonly readFile: ReadFile

  /** @param variables the configuration's own, shared by its files. */
  constructor(
    text: string,
    file: string,
    { env, providers, readFile = () => null }: { env: Env; providers: KnownProviders; readFile?: ReadFile },
    variables = new Map<string, string>(),
  ) {
    this.file = file
    this.readFile = readFile
    this.#variables = variables
    this.providers = providers
    this.#env = env
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      merge: true,
      // A key that is written twice is reported where it is read.
      uniqueKeys: false,
      stringKeys: true,
      logLevel: 'error',
    })
    this.root = this.#readable() ? this.resolve(this.#document.contents) : null
  }

  /** Adds a problem, once for each place: an anchor's lines are read again for each use. */
  report(problem: Omit<Problem, 'file'>): void {
    const key = JSON.stringify([problem.line, problem.path, problem.message])
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    this.problems.push({ file: this.file, ...problem })
  }

  #yamlProblem(severity: Problem['severity'], line: number | null, message: string, fix: string): void {
    this.report({ severity, line, path: '', message, fix })
  }

  /** An environment variable, or one of the file's own `environment_variables`. Empty counts as missing: compose files pass `""`. */
  variable(name: string): string | null {
    const value = this.#variables.get(name) ?? this.#env[name]
    return value === undefined || value === '' ? null : value
  }

  /** Adds a variable of the file's own. It wins over the environment, as in LiteLLM; process.env stays untouched. */
  define(name: string, value: string): void {
    this.#variables.set(name, value)
  }

  lineOf(node: Node | null): number | null {
    return node?.range ? this.#lines.linePos(node.range[0]).line : null
  }

  /** The node that an alias stands for; any other node unchanged. */
  resolve(node: Node | null): Node | null {
    return isAlias(node) ? (node.resolve(this.#document) ?? null) : node
  }

  /**
   * A map's entries, its own before merged ones (`<<: *base`); its own entry wins. When a key is written twice, the last one counts, as in
   * LiteLLM.
   */
  entries(map: YAMLMap): Entry[] {
    const own = new Map<string, Entry>()
    const bases: (Node | null)[] = []
    for (const pair of map.items as Pair<Node | null, Node | null>[]) {
      const name = keyName(pair.key)
      if (name === MERGE) bases.push(pair.value)
      else {
        if (own.has(name)) this.#reportRepeated(pair.key)
        own.set(name, { name, key: pair.key, value: pair.value })
      }
    }
    for (const base of bases) this.#merge(own, this.resolve(base))
    return [...own.values()]
  }

  #reportRepeated(key: Node | null): void {
    const message = 'this key is written twice in the same map: the last one counts, and nothing of the first'
    this.#yamlProblem('warning', this.lineOf(key), message, 'keep one of the two')
  }

  #merge(into: Map<string, Entry>, base: Node | null): void {
    const maps = isSeq(base) ? base.items.map((item) => this.resolve(item as Node | null)) : [base]
    for (const map of maps) {
      if (!isMap(map)) continue
      for (const entry of this.entries(map)) if (!into.has(entry.name)) into.set(entry.name, entry)
    }
  }

  /** Reports what the YAML reader found. False when the tree can't be relied on. */
  #readable(): boolean {
    let readable = true
    for (const error of this.#document.errors) {
      readable = false
      this.#yamlProblem(
        'error',
        this.#lines.linePos(error.pos[0]).line,
        `not valid YAML: ${plainMessage(error.message)}`,
        'check indentation, quotes and brackets there',
      )
    }
    for (const warning of this.#document.warnings) {
      const line = this.#lines.linePos(warning.pos[0]).line
      this.#yamlProblem('warning', line, `YAML: ${plainMessage(warning.message)}`, 'leave the tag out')
    }
    return readable && this.#aliasesAreSound() && this.#expansionIsBounded()
  }

  #aliasesAreSound(): boolean {
    let sound = true
    const complain = (alias: Alias, message: string, fix: string): void => {
      sound = false
      this.#yamlProblem('error', this.lineOf(alias), message, fix)
    }
    visit(this.#document, {
      Alias: (_, alias, ancestors) => {
        const target = alias.resolve(this.#document)
        const name = showName(alias.source)
        if (target === undefined)
          complain(alias, `the alias *${name} has no anchor before it`, `write &${name} at the value it stands for`)
        else if (ancestors.includes(target))
          complain(alias, `the alias *${name} contains itself`, 'write the value out')
      },
    })
    return sound
  }

  /** Expands everything once, under a limit: afterwards a walk over the tree, aliases included, is known to end soon. */
  #expansionIsBounded(): boolean {
    try {
      this.#document.toJS({ maxAliasCount: MAX_ALIASES })
      return true
    } catch {
      this.#yamlProblem('error', null, 'the aliases of this file expand to far too many values', 'write the values out')
      return false
    }
  }
}

function keyName(key: Node | null): string {
  if (!isScalar(key)) return ''
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
}

/** The YAML reader's message without the piece of the file that some messages quote: it may be a secret. */
function plainMessage(message: string): string {
  const [plain = ''] = message.split(/: "|; please use/s)
  return plain
}
