/**
 * One place in the configuration: a value with its path and line, read as what it should be. A value of the wrong type is
 * reported and read as null, so that reading goes on and finds the rest.
 */

import { isMap, isScalar, isSeq, type Node } from 'yaml'
import { parseDecimal } from '../../providers/decimal.ts'
import type { JsonValue } from './config.ts'
import { mayHoldSecret, NO_EFFECT, showName, showText, UNKNOWN_SETTING } from './problem.ts'
import type { Source } from './source.ts'

const FROM_ENV = 'os.environ/'
const NUMBER = /^[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$/
const TRUE = /^(?:true|yes|on)$/i
const FALSE = /^(?:false|no|off)$/i

export interface NumberRule {
  /** What the message says was expected: `a number of seconds`. */
  what: string
  /** A right value, for the fix. */
  example: string
  least?: number
  /** The least allowed value is itself not allowed. */
  moreThan?: number
  most?: number
  whole?: boolean
}

export class Field {
  readonly source: Source
  readonly path: string
  readonly name: string
  readonly line: number | null
  readonly node: Node | null
  /** The same list in files that this one includes: its entries follow. */
  readonly #further: readonly Field[]

  constructor(
    source: Source,
    path: string,
    name: string,
    line: number | null,
    node: Node | null,
    further: readonly Field[] = [],
  ) {
    this.#further = further
    this.source = source
    this.path = path
    this.name = name
    this.line = line
    this.node = source.resolve(node)
  }

  error(message: string, fix: string): null {
    this.source.report({ severity: 'error', line: this.line, path: this.path, message, fix })
    return null
  }

  warn(message: string, fix: string, quiet = false): void {
    const problem = { severity: 'warning' as const, line: this.line, path: this.path, message, fix }
    this.source.report(quiet ? { ...problem, quiet } : problem)
  }

  /** No key was found for the provider that this field could have held one for. */
  keyless(provider: string, variables: readonly string[], quiet: boolean): void {
    const { line, path } = this
    const message = `no key for ${provider}: only callers with a key of their own can use it`
    const fix = `set ${variables.join(' or ')}, write api_key, or store one while Tollgate runs`
    const problem = { severity: 'warning' as const, line, path, message, fix, keyless: { provider, variables } }
    this.source.report(quiet ? { ...problem, quiet } : problem)
  }

  /** A protection that isn't there: whoever starts has to accept it by this field's name. */
  unenforced(message: string, fix: string): void {
    const { line, path, name } = this
    this.source.report({ severity: 'warning', line, path, message, fix, unenforced: name })
  }

  noEffect(fix = 'nothing to do; it may be left out', quiet = false): void {
    this.warn(NO_EFFECT, fix, quiet)
  }

  /** Not written, or written as null. */
  get empty(): boolean {
    return this.node === null || (isScalar(this.node) && this.node.value === null)
  }

  /** The map's values by name, or null. */
  section(): Section | null {
    if (this.empty) return null
    if (!isMap(this.node)) {
      const head = this.name === '' ? 'write ' : `write ${this.label}: and below it, indented, `
      return this.#mismatch('a map of settings', `${head}"name: value" lines`)
    }
    const fields = this.source.entries(this.node).map(({ name, key, value }) => {
      const path = this.path === '' ? showName(name) : `${this.path}.${showName(name)}`
      return new Field(this.source, path, name, this.source.lineOf(key) ?? this.line, value)
    })
    return new Section(this, fields)
  }

  /** The same place, with a list of another file behind its own. */
  extendedBy(other: Field): Field {
    const { source, path, name, line, node } = this
    return new Field(source, path, name, line, node, [...this.#further, other])
  }

  list(): Field[] {
    return [...this.#own(), ...this.#further.flatMap((field) => field.list())]
  }

  #own(): Field[] {
    if (this.empty) return []
    if (isSeq(this.node)) {
      return this.node.items.map((item, index) => {
        const node = item as Node | null
        return new Field(this.source, `${this.path}[${index}]`, this.name, this.source.lineOf(node) ?? this.line, node)
      })
    }
    this.#mismatch('a list', `start each entry of ${this.label} with "- "`)
    return []
  }

  /** The name, safe to show in a message. */
  get label(): string {
    return showName(this.name)
  }

  get isMap(): boolean {
    return isMap(this.node)
  }

  get isList(): boolean {
    return isSeq(this.node)
  }

  /** A text as written: `os.environ/NAME` stays what it is. */
  rawText(): string | null {
    return isScalar(this.node) && typeof this.node.value === 'string' ? this.node.value : null
  }

  /** The variable that this value names, if it names one. */
  get variableName(): string | null {
    const raw = this.rawText()
    return raw?.startsWith(FROM_ENV) ? raw.slice(FROM_ENV.length).trim() : null
  }

  /** A text, `os.environ/NAME` replaced by the variable. A missing variable is a warning and null. */
  text(what = 'a text', quietWhenMissing = false): string | null {
    if (this.empty) return null
    const raw = this.rawText()
    if (raw === null) return this.#mismatch(what, `put it in quotes: ${this.label}: "…"`)
    const variable = this.variableName
    if (variable === null) return raw
    const value = this.source.variable(variable)
    if (value === null) {
      this.warn(
        `the environment variable ${showName(variable)} is not set`,
        `set ${showName(variable)} before the start`,
        quietWhenMissing,
      )
    }
    return value
  }

  /** A finite number; numeric texts count, as in LiteLLM. */
  number(rule: NumberRule): number | null {
    const written = this.#numeral(rule.what, rule.example)
    if (written === null) return null
    const value = Number(written.replaceAll('_', ''))
    const fits =
      Number.isFinite(value) &&
      (!rule.whole || Number.isSafeInteger(value)) &&
      value >= (rule.least ?? -Infinity) &&
      value > (rule.moreThan ?? -Infinity) &&
      value <= (rule.most ?? Infinity)
    return fits ? value : this.#mismatch(rule.what, `write ${this.label}: ${rule.example}`)
  }

  /** An exact decimal >= 0 as an integer of 10^-scale units, read from the text as written and rounded up, never through a float. */
  decimal(scale: number, what: string, example: string): bigint | null {
    const written = this.#numeral(what, example)
    if (written === null) return null
    const value = parseDecimal(written.replaceAll('_', ''), scale, { roundUp: true })
    return value < 0n ? this.#mismatch(what, `write ${this.label}: ${example}`) : value
  }

  flag(): boolean | null {
    if (this.empty) return null
    if (isScalar(this.node) && typeof this.node.value === 'boolean') return this.node.value
    const text = this.rawText() === null ? null : this.text('true or false')
    if (text === null && this.variableName !== null) return null
    const value = text !== null && TRUE.test(text) ? true : text !== null && FALSE.test(text) ? false : null
    if (value === null) return this.#mismatch('true or false', `write ${this.label}: true`)
    if (this.variableName === null) this.warn(`a text is read as ${value}`, `write ${this.label}: ${value}`)
    return value
  }

  /** Any JSON value, variables replaced in texts. */
  json(): JsonValue {
    return this.#json(
      (field) => field.text(),
      (field) => field.#mismatch('a finite number', `write ${field.label}: 1`),
    )
  }

  /** Any JSON value with texts as written: no secret of the environment is in it. Reports nothing. */
  writtenJson(): JsonValue {
    return this.#json(
      (field) => field.rawText(),
      () => null,
    )
  }

  #json(text: (field: Field) => JsonValue, otherwise: (field: Field) => JsonValue): JsonValue {
    if (isMap(this.node)) {
      const fields = this.section()?.fields ?? []
      return Object.fromEntries(fields.map((field) => [field.name, field.#json(text, otherwise)]))
    }
    if (isSeq(this.node)) return this.list().map((field) => field.#json(text, otherwise))
    if (this.empty || !isScalar(this.node)) return null
    const { value } = this.node
    if (typeof value === 'string') return text(this)
    if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value
    return otherwise(this)
  }

  /** The value, safe to show in a message. */
  get found(): string {
    if (this.empty) return 'nothing'
    if (isMap(this.node)) return 'a map'
    if (isSeq(this.node)) return 'a list'
    if (mayHoldSecret(this.path)) return 'a value that is not shown'
    if (this.variableName !== null)
      return `the value of the environment variable ${showName(this.variableName)} (not shown)`
    if (!isScalar(this.node)) return 'something else'
    const { value } = this.node
    return typeof value === 'string' ? showText(value) : showText(this.node.source ?? String(value)).replaceAll('"', '')
  }

  mismatch(what: string, fix: string): null {
    return this.#mismatch(what, fix)
  }

  #numeral(what: string, example: string): string | null {
    if (this.empty) return null
    const scalar = isScalar(this.node) ? this.node : null
    const text = typeof scalar?.value === 'number' ? (scalar.source ?? String(scalar.value)) : null
    const written = text ?? (typeof scalar?.value === 'string' ? this.text(what)?.trim() : undefined)
    if (written === undefined && this.variableName !== null) return null
    if (written !== undefined && NUMBER.test(written)) return written
    return this.#mismatch(what, `write ${this.label}: ${example}`)
  }

  #mismatch(what: string, fix: string): null {
    return this.error(`expected ${what}, found ${this.found}`, fix)
  }
}

/** A map that is being read: fields that were not taken by the end are unknown. */
export class Section {
  readonly place: Field
  readonly fields: readonly Field[]
  readonly #taken = new Set<string>()

  constructor(place: Field, fields: readonly Field[]) {
    this.place = place
    this.fields = fields
  }

  /** The field of this name. An absent one reads as null and blames the section's line. */
  take(name: string): Field {
    this.#taken.add(name)
    return this.fields.find((field) => field.name === name) ?? this.absent(name)
  }

  absent(name: string): Field {
    const { source, path, line } = this.place
    return new Field(source, path === '' ? name : `${path}.${name}`, name, line, null)
  }

  /** Every field not taken yet, and takes them. */
  rest(): Field[] {
    const rest = this.fields.filter((field) => !this.#taken.has(field.name))
    for (const field of rest) this.#taken.add(field.name)
    return rest
  }

  /** The names taken so far: once everything was read, these are the known names. */
  get known(): string {
    return [...this.#taken].join(', ')
  }

  /** Warns about every field not taken: accepted without effect if LiteLLM knows it, unknown otherwise. */
  finish(accepted: ReadonlySet<string>, known = ''): void {
    for (const field of this.rest()) {
      if (accepted.has(field.name)) field.noEffect()
      else field.warn(UNKNOWN_SETTING, known === '' ? 'check the spelling' : `known here: ${known}`)
    }
  }
}
