/** The response to an embedding request as callers see it: what the provider wrote, or a list of our own where it speaks otherwise. */
import type { Encoding } from './embeddings.ts'
import { asObject } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'
import type { ProviderResponse } from './provider.ts'
import type { Reading } from './reading.ts'
import { createShownModel } from './shown-model.ts'
import { shownUsage } from './shown-usage.ts'

type Json = Readonly<Record<string, unknown>>

interface Shown {
  /** The name of the model that the caller asked for. */
  asked: string
  cost: string | null
  usage: unknown
  /** What is shown is `usage`, whatever was stated. */
  replaces: boolean
}

/** @param json the same body, parsed. @param form into which its vectors have to be brought; null leaves them as they came. */
export function embeddingsBody(body: Buffer, json: Json, shown: Shown, form: Encoding | null): Buffer {
  const { asked, cost, usage, replaces } = shown
  const members = objectMembers(body)
  const own = members.find(({ key }) => key === 'usage')
  const stated = own === undefined || replaces ? null : body.subarray(own.valueStart, own.end)
  const text = shownUsage(stated ?? Buffer.from(JSON.stringify(usage)), null, cost).toString('utf8')
  const changes: Change[] = [{ key: 'usage', value: text }, ...createShownModel(asked).changes(json.model)]
  if (form !== null)
    changes.push({ key: 'data', value: JSON.stringify((json.data as unknown[]).map((one) => inForm(one, form))) })
  return changeMembers(body, members, changes)
}

function inForm(one: unknown, form: Encoding): unknown {
  const { embedding, ...rest } = asObject(one) ?? {}
  const isList = Array.isArray(embedding)
  if (form === 'base64' ? !isList : typeof embedding !== 'string') return one
  return { ...rest, embedding: isList ? encode(embedding) : decode(String(embedding)) }
}

/** Numbers of four bytes, the least significant first: as OpenAI's client reads them on every machine there is. */
function encode(vector: readonly unknown[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(typeof value === 'number' ? value : 0, index * 4)
  return bytes.toString('base64')
}

function decode(text: string): number[] {
  const bytes = Buffer.from(text, 'base64')
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readFloatLE(index * 4))
}

/** A list in OpenAI's form, of vectors that came in another. */
export function listResponse(
  vectors: readonly (readonly unknown[])[],
  reading: Reading,
  { asked, encoding }: { asked: string; encoding: Encoding },
): ProviderResponse {
  return {
    reading,
    finishReasons: [],
    hasContent: vectors.some(({ length }) => length > 0),
    outputText: () => '',
    shownText: () => '',
    body(cost, usage) {
      const data = vectors.map((vector, index) => ({
        object: 'embedding',
        index,
        embedding: encoding === 'base64' ? encode(vector) : vector,
      }))
      const shown = shownUsage(Buffer.from(JSON.stringify(usage)), null, cost).toString('utf8')
      const list = JSON.stringify({ object: 'list', data, model: asked })
      return Buffer.from(`${list.slice(0, -1)},"usage":${shown}}`)
    },
  }
}

/** A list of lists of numbers; null for anything else. */
export function vectorsIn(list: unknown): (readonly number[])[] | null {
  const isVector = (one: unknown): one is readonly number[] => Array.isArray(one) && typeof one[0] === 'number'
  return Array.isArray(list) && list.length > 0 && list.every(isVector) ? list : null
}
