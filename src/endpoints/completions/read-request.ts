/** Reads a request to complete a text: checks what we rely on and leaves the rest as it is. */
import type { CompletionRequest } from '../../../providers/completions.ts'
import { KNOWN_COMPLETION, KNOWN_COMPLETION_ANYWHERE } from '../../../providers/known-members/additions.ts'
import { shapeAt, strangersIn } from '../../../providers/known-members/shape.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, OUTPUT_CAP_MAX, refuseAlias, unsupported } from '../read-members.ts'
import { readTexts } from '../read-texts.ts'

/** How many texts a request may ask for, over all prompts. */
export const CHOICES_MAX = 128

type Json = Readonly<Record<string, unknown>>

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readCompletionRequest({ text, members, json }: JsonObject): CompletionRequest {
  const strangers = strangersIn(json, KNOWN_COMPLETION)
  for (const { path, value } of strangers) {
    const shape = shapeAt(KNOWN_COMPLETION_ANYWHERE, path)
    for (const one of shape === undefined ? [{ path }] : strangersIn(value, shape, path))
      refuseAlias(one.path, KNOWN_COMPLETION_ANYWHERE)
  }
  const model = modelNameOf(json)
  const prompt = readTexts(json.prompt, 'prompt', CHOICES_MAX)
  const stream = flag(json, 'stream')
  const n = count(json, 'n', 1, CHOICES_MAX) ?? 1
  const best = count(json, 'best_of', 1, CHOICES_MAX)
  if (best !== null && best < n) throw bad('best_of', '"best_of" must not be less than "n".')
  if (best !== null && best > n && stream)
    throw bad('best_of', 'A stream can\'t choose the best of several texts. Leave "best_of" out.')
  if (flag(json, 'echo') && stream) throw unsupported('echo', "A stream does not repeat the prompt. Leave 'echo' out.")
  if ((json.suffix ?? null) !== null && typeof json.suffix !== 'string') throw bad('suffix', '"suffix" must be a text.')
  const written = best ?? n
  const prompts = prompt.texts.length + prompt.tokenLists.length
  if (written * prompts > CHOICES_MAX)
    throw bad(
      'prompt',
      `${prompts} prompts with ${written} texts each are more than ${CHOICES_MAX}. Send fewer at a time.`,
    )
  const includeUsage = asksUsage(json)
  const outputCap = count(json, 'max_tokens', 0, OUTPUT_CAP_MAX)
  return { text, members, json, model, prompt, stream, includeUsage, n, written, outputCap, strangers }
}

function asksUsage({ stream_options: options = null }: Json): boolean {
  if (options === null) return false
  if (typeof options !== 'object' || Array.isArray(options))
    throw bad('stream_options', '"stream_options" must be an object.')
  return (options as { include_usage?: unknown }).include_usage === true
}

function flag(json: Json, name: string): boolean {
  const value = json[name] ?? null
  if (value === null || typeof value === 'boolean') return value === true
  throw bad(name, `"${name}" must be true or false.`)
}

function count(json: Json, name: string, least: number, most: number): number | null {
  const value = json[name] ?? null
  if (value === null) return null
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  throw bad(name, `"${name}" must be an integer from ${least} to ${most}.`)
}
