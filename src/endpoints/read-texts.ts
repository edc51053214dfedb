/** Reads texts, or lists of tokens that the caller made, as OpenAI's older endpoints take them: one or several at a time. */
import { bad } from './read-members.ts'

/** Exactly one of the two lists has elements. */
export interface Texts {
  texts: readonly string[]
  tokenLists: readonly (readonly number[])[]
}

/** Larger than any vocabulary: a number beyond it is not a token. */
const TOKEN_MAX = 9_999_999

/**
 * All elements must be of one kind, because servers read mixed lists differently.
 * @param most how many at a time. @throws {TollgateError} 400, naming the member, or the element that is wrong.
 */
export function readTexts(value: unknown, name: string, most: number): Texts {
  if (typeof value === 'string') return { texts: [filled(value, name)], tokenLists: [] }
  if (!Array.isArray(value) || value.length === 0) throw shapeless(name)
  const [first] = value
  if (typeof first === 'number') return { texts: [], tokenLists: [tokens(value, name)] }
  if (value.length > most) throw bad(name, `"${name}" may have up to ${most} elements. Send fewer at a time.`)
  if (typeof first === 'string') return { texts: value.map((one, at) => filled(one, `${name}[${at}]`)), tokenLists: [] }
  if (Array.isArray(first)) return { texts: [], tokenLists: value.map((one, at) => tokens(one, `${name}[${at}]`)) }
  throw shapeless(name)
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

function shapeless(name: string) {
  return bad(name, `"${name}" must be a text, a list of texts, a list of tokens or a list of lists of tokens.`)
}
