/**
 * `model` as callers see it: the name they asked for, also where a provider names a dated version, or another model behind an alias. What
 * served stands in the headers and in the row of the call; prices are looked up by what the provider wrote, before it is changed.
 */
import { asObject, parseJson } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'

const MODEL = Buffer.from('"model"')

export interface ShownModel {
  /** The change of a payload that was read and says `stated`; none where that is what was asked for, or no name. */
  changes(stated: unknown): Change[]
  /** A payload that was not read, with the name in the place of the provider's. The same object where nothing changes. */
  rename(payload: Buffer): Buffer
}

export function createShownModel(asked: string): ShownModel {
  const value = JSON.stringify(asked)
  /** A frame as far as its model, as it came and as it is shown: those of a stream begin alike, so most need no search. */
  let head = Buffer.alloc(0)
  let shown = Buffer.alloc(0)

  function renameFound(payload: Buffer): Buffer {
    if (!payload.includes(MODEL)) return payload
    // What is no JSON passes as it came, whatever it looks like.
    const stated = asObject(parseJson(payload))?.model
    if (typeof stated !== 'string' || stated === '') return payload
    const members = objectMembers(payload)
    const own = members.findLast(({ key }) => key === 'model')
    if (own === undefined) return payload
    head = Buffer.from(payload.subarray(0, own.end))
    shown = Buffer.concat([payload.subarray(0, own.valueStart), Buffer.from(value)])
    if (stated === asked) shown = head
    return shown === head ? payload : changeMembers(payload, members, [{ key: 'model', value }])
  }

  return {
    changes: (stated) =>
      typeof stated === 'string' && stated !== '' && stated !== asked ? [{ key: 'model', value }] : [],
    rename(payload) {
      const begins =
        head.length > 0 && payload.length > head.length && payload.compare(head, 0, head.length, 0, head.length) === 0
      if (!begins) return renameFound(payload)
      return shown === head ? payload : Buffer.concat([shown, payload.subarray(head.length)])
    },
  }
}
