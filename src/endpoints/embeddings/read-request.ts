/** Reads an embedding request: checks what we rely on and leaves the rest as it is. */
import type { EmbeddingsRequest } from '../../../providers/embeddings.ts'
import { KNOWN_EMBEDDING, KNOWN_EMBEDDING_ANYWHERE } from '../../../providers/known-members/additions.ts'
import { shapeAt, strangersIn } from '../../../providers/known-members/shape.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, refuseAlias, unsupported } from '../read-members.ts'
import { readTexts } from '../read-texts.ts'

/** The most inputs that OpenAI takes at a time. */
export const INPUTS_MAX = 2_048
const DIMENSIONS_MAX = 100_000

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readEmbeddingsRequest({ text, members, json }: JsonObject): EmbeddingsRequest {
  const strangers = strangersIn(json, KNOWN_EMBEDDING)
  for (const { path, value } of strangers) {
    const shape = shapeAt(KNOWN_EMBEDDING_ANYWHERE, path)
    for (const one of shape === undefined ? [{ path }] : strangersIn(value, shape, path))
      refuseAlias(one.path, KNOWN_EMBEDDING_ANYWHERE)
  }
  const model = modelNameOf(json)
  const { stream = null, dimensions = null, encoding_format: encoding = null } = json
  if (stream !== null && stream !== false)
    throw unsupported('stream', "Embeddings are not streamed. Leave 'stream' out.")
  if (encoding !== null && encoding !== 'float' && encoding !== 'base64')
    throw bad('encoding_format', '"encoding_format" must be "float" or "base64".')
  if (dimensions !== null && !isCount(dimensions))
    throw bad('dimensions', `"dimensions" must be an integer from 1 to ${DIMENSIONS_MAX}.`)
  return { text, members, json, model, input: readTexts(json.input, 'input', INPUTS_MAX), strangers }
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= DIMENSIONS_MAX
}
