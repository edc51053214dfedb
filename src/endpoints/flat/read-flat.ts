/** Reads requests whose members are all at the top level, and forms: what their endpoints share. */
import { bareName, type FlatRequest, type Form } from '../../../providers/flat-request.ts'
import type { Known } from '../../../providers/known-members/media-members.ts'
import { shapeAt, strangersIn } from '../../../providers/known-members/shape.ts'
import { jsonOf } from '../../http/form-body.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, refuseAlias } from '../read-members.ts'

type Json = Readonly<Record<string, unknown>>

/** @throws {TollgateError} 400. */
export function readFlatJson({ text, members, json }: JsonObject, known: Known): FlatRequest {
  return { text, members, json, ...checked(json, json, known), form: null }
}

/** @throws {TollgateError} 400. */
export function readFlatForm(form: Form, known: Known): FlatRequest {
  const json = jsonOf(form)
  const all = { ...json, ...Object.fromEntries(form.files.map(({ field }) => [bareName(field), null])) }
  let written: Buffer | null = null
  return {
    // An Idempotency-Key is bound to this text: the boundary of a form differs in each attempt.
    get text() {
      written ??= writtenForm(form)
      return written
    },
    members: [],
    json,
    ...checked(json, all, known),
    form,
  }
}

function checked(json: Json, all: Json, known: Known): Pick<FlatRequest, 'model' | 'stream' | 'strangers'> {
  const strangers = strangersIn(all, known.members)
  for (const { path, value } of strangers) {
    const shape = shapeAt(known.anywhere, path)
    for (const one of shape === undefined ? [{ path }] : strangersIn(value, shape, path))
      refuseAlias(one.path, known.anywhere)
  }
  return { model: modelNameOf(json), stream: flagOf(json, 'stream'), strangers }
}

function writtenForm({ fields, files }: Form): Buffer {
  const head = JSON.stringify([fields, files.map(({ bytes, ...file }) => [file, bytes.length])])
  return Buffer.concat([Buffer.from(head), ...files.map(({ bytes }) => bytes)])
}

/** A form holds only texts. @throws {TollgateError} 400. */
export function flagOf(json: Json, name: string): boolean {
  const value = json[name] ?? null
  if (value === null || value === false || value === 'false') return false
  if (value === true || value === 'true') return true
  throw bad(name, `"${name}" must be true or false.`)
}

/** @throws {TollgateError} 400. */
export function integerOf(
  json: Json,
  name: string,
  { least, most, usual }: { least: number; most: number; usual: number },
): number {
  const value = json[name] ?? null
  if (value === null) return usual
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most) return number
  throw bad(name, `"${name}" must be an integer from ${least} to ${most}.`)
}

/** @throws {TollgateError} 400. */
export function textOf(json: Json, name: string): string {
  const value = json[name]
  if (typeof value === 'string' && value !== '') return value
  throw bad(name, `Send "${name}", a text that is not empty.`)
}

/** Null where the member is left out. @throws {TollgateError} 400. */
export function wordOf(json: Json, name: string): string | null {
  const value = json[name] ?? null
  if (value === null || typeof value === 'string') return value
  throw bad(name, `"${name}" must be a text.`)
}
