/** An embedding request: read, checked where we rely on it, otherwise left as it is. */
import type { EmbeddingInput, EmbeddingsRequest } from '../../../providers/embeddings.ts'
import { KNOWN_EMBEDDING, KNOWN_EMBEDDING_ANYWHERE } from '../../../providers/known-members/additions.ts'
import { shapeAt, strangersIn } from '../../../providers/known-members/shape.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, refuseAlias, unsupported } from '../read-members.ts'

/** As many as OpenAI takes at a time. */
export const INPUTS_MAX = 2_048
const DIMENSIONS_MAX = 100_000
/** Larger than any vocabulary: a number beyond it is no token. */
const TOKEN_MAX = 9_999_999

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
  return { text, members, json, model, input: inputOf(json.input), strangers }
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= DIMENSIONS_MAX
}

/** All of one kind: readers differ in what they make of a list that mixes them. @throws {TollgateError} 400. */
function inputOf(input: unknown): EmbeddingInput {
  if (typeof input === 'string') return { texts: [filled(input, 'input')], tokenLists: [] }
  if (!Array.isArray(input) || input.length === 0) throw shapeless()
  const [first] = input
  if (typeof first === 'number') return { texts: [], tokenLists: [tokens(input, 'input')] }
  if (input.length > INPUTS_MAX)
    throw bad('input', `"input" may have up to ${INPUTS_MAX} elements. Send fewer at a time.`)
  if (typeof first === 'string') return { texts: input.map((one, at) => filled(one, `input[${at}]`)), tokenLists: [] }
  if (Array.isArray(first)) return { texts: [], tokenLists: input.map((one, at) => tokens(one, `input[${at}]`)) }
  throw shapeless()
}

function filled(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw bad(path, `"${path}" must be a text that is not empty, as the first element is one.`)
}

function tokens(value: unknown, path: string): readonly number[] {
  const isToken = (one: unknown) => typeof one === 'number' && Number.isInteger(one) && one >= 0 && one <= TOKEN_MAX
  if (Array.isArray(value) && value.length > 0 && value.every(isToken)) return value
  throw bad(path, `"${path}" must be a list of tokens, integers from 0 to ${TOKEN_MAX}, at least one.`)
}

function shapeless() {
  return bad('input', '"input" must be a text, a list of texts, a list of tokens or a list of lists of tokens.')
}
