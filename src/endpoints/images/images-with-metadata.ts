/**
 * POST /api/v1/llm/image/generations, for Ops-Center's callers: parameters of older models that a model can't honour are left out, each
 * image has a `url` (a data URL where its provider gives no address), and `_metadata` says what the call cost.
 */
import { asObject, parseJson } from '../../../providers/json.ts'
import { changeMembers, objectMembers } from '../../../providers/json-members.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import { metadataOf } from '../metadata-of.ts'
import { imageGenerations, imagesCall } from './images.ts'
import { readGeneration } from './read-request.ts'

export const imagesWithMetadata: Endpoint = {
  ...imageGenerations,
  read: (body) => imagesCall(readGeneration(body), true),
  addReceipt(body, receipt) {
    const json = asObject(parseJson(body)) ?? {}
    const data = (Array.isArray(json.data) ? json.data : []).map((one) => withUrl(one, json.output_format))
    return changeMembers(body, objectMembers(body), [
      { key: 'data', value: JSON.stringify(data) },
      { key: '_metadata', value: JSON.stringify(metadataOf(receipt)) },
    ])
  },
}

function withUrl(one: unknown, format: unknown): unknown {
  const image = asObject(one)
  if (image === null || typeof image.url === 'string' || typeof image.b64_json !== 'string') return one
  const type = typeof format === 'string' && /^(?:jpeg|png|webp)$/.test(format) ? format : 'png'
  return { ...image, url: `data:image/${type};base64,${image.b64_json}` }
}
