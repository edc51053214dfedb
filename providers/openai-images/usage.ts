/** The usage of images: tokens as OpenAI states them, and how many images came. */
import { asObject } from '../json.ts'
import { count } from '../openai-usage.ts'
import { NO_USAGE, type Usage } from '../usage.ts'

/** Null where none, or nothing usable, is stated. */
export function readImageUsage(raw: unknown): Usage | null {
  const stated = asObject(raw)
  const input = count(stated?.input_tokens)
  const output = count(stated?.output_tokens)
  if (input === null || output === null) return null
  const sent = Math.min(input, count(asObject(stated?.input_tokens_details)?.image_tokens) ?? 0)
  const text = Math.min(output, count(asObject(stated?.output_tokens_details)?.text_tokens) ?? 0)
  return { ...NO_USAGE, input: input - sent, imageInput: sent, output: text, imageOutput: output - text }
}

/** Of several that follow each other in a stream. */
export function addUsage(a: Usage, b: Usage): Usage {
  return {
    ...a,
    input: a.input + b.input,
    imageInput: a.imageInput + b.imageInput,
    output: a.output + b.output,
    imageOutput: a.imageOutput + b.imageOutput,
  }
}

/** What is charged for so many images: one by one, or by their tokens, where those were stated. */
export function usageOf(
  images: number,
  stated: Usage | null,
  { isByImage, expected }: { isByImage: boolean; expected: number },
): { usage: Usage | null; seen: Partial<Usage> } {
  const seen = { images, imageOutput: isByImage ? 0 : images * expected }
  // None beside an image is as good as nothing stated.
  const isMissing = !isByImage && images > 0 && stated?.output === 0 && stated.imageOutput === 0
  if (stated !== null && !isMissing) return { usage: { ...stated, images }, seen }
  return { usage: isByImage ? { ...NO_USAGE, images } : null, seen }
}
