/** With `echo` a response repeats the prompt before the new text. The prompt is not output and is not counted as output. */
import type { CompletionRequest } from '../../../providers/completions.ts'
import { asObject, parseJson } from '../../../providers/json.ts'
import type { ProviderError, ProviderResponse } from '../../../providers/provider.ts'

type Read = ProviderResponse | ProviderError | null

export function withoutEcho(response: Read, { json, prompt }: CompletionRequest): Read {
  if (json.echo !== true || response === null || 'kind' in response) return response
  const written = () => {
    const { choices } = asObject(parseJson(response.body(null, {}))) ?? {}
    const texts = (Array.isArray(choices) ? choices : []).map((choice: unknown) => asObject(choice)?.text)
    return texts.map((text) => (typeof text === 'string' ? cut(text, prompt.texts) : '')).join('')
  }
  return { ...response, shownText: written, outputText: () => (response.outputText() === '' ? '' : written()) }
}

/** The longest prompt that the text begins with. */
function cut(text: string, prompts: readonly string[]): string {
  const echoed = prompts.filter((one) => text.startsWith(one)).map(({ length }) => length)
  return text.slice(Math.max(0, ...echoed))
}
