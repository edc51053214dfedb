/** Turns a request to complete a text into a chat completion request with one message. Members that a chat model can't honour are refused by name. */
import type { CompletionRequest } from '../../../providers/completions.ts'
import { KNOWN } from '../../../providers/known-members/additions.ts'
import { unsupported } from '../read-members.ts'

/** Members of chat completions that do not change the form of a text completion. */
const SHARED: ReadonlySet<string> = new Set([
  ...['max_completion_tokens', 'metadata', 'model', 'prompt_cache_key', 'reasoning_effort', 'response_format'],
  ...['safety_identifier', 'service_tier', 'store', 'verbosity'],
])

/** @throws {TollgateError} 400. */
export function toChat({ json, prompt, strangers, written, n }: CompletionRequest): Record<string, unknown> {
  const [text, ...more] = prompt.texts
  if (text === undefined) throw only('prompt', 'takes tokens: send the prompt as a text')
  if (more.length > 0) throw only('prompt', 'takes several prompts at a time: send them one by one')
  if (written > n) throw only('best_of', "chooses the best of several: leave 'best_of' out")
  for (const name of ['suffix', 'logprobs'])
    if ((json[name] ?? null) !== null) throw only(name, `knows '${name}': leave it out`)
  if (json.echo === true) throw only('echo', "repeats its prompt: leave 'echo' out")
  for (const { path } of strangers) {
    const name = String(path[0])
    if (KNOWN.members.has(name) && !SHARED.has(name))
      throw unsupported(name, `'${name}' is of chat completions. Leave it out, or ask POST /v1/chat/completions.`)
  }
  const { prompt: _, best_of: __, echo: ___, suffix: ____, logprobs: _____, ...rest } = json
  return { ...rest, messages: [{ role: 'user', content: text }] }
}

function only(param: string, what: string) {
  return unsupported(param, `Only a model that completes texts ${what}, or ask for such a model.`)
}
