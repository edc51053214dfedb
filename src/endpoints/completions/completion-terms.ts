/** What a text completion may cost on a deployment whose provider has them, and how it is sent and read back. */
import type { CompletionRequest, CompletionsCapability } from '../../../providers/completions.ts'
import { showPath } from '../../../providers/known-members/shape.ts'
import type { Provider } from '../../../providers/provider.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateTexts } from '../../metering/estimate.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { judgeStrangers } from '../chat-completions/strange-members.ts'
import { PLAIN_TERMS } from '../plain-terms.ts'
import { withoutEcho } from './without-echo.ts'

/** OpenAI's cap where the caller states none. It is sent upstream, because other servers have no such default. */
const USUAL_CAP = 16
/** Marks that a server may put around a text. */
const MARKS = 2

/** @throws {TollgateError} 400 for a member that the provider is not known to take. */
export function completionTerms(
  request: CompletionRequest,
  deployment: Deployment,
  provider: Provider & { completions: CompletionsCapability },
): Terms {
  const { completions } = provider
  const { upstreamModel: model, apiBase, maxInputTokens: _ } = deployment
  const taken = { taken: completions.takes(apiBase), label: provider.label }
  const { drop, dropAt, letThrough } = judgeStrangers(request, taken, deployment)
  const defaults = knownDefaults(deployment, completions)
  const facts = provider.model(model)
  const strange = letThrough.map(({ path, value }) => JSON.stringify({ [showPath(path)]: value }))
  const visit = (visitor: InputVisitor) => visitPrompt(request, strange, visitor)
  const outputCap = request.outputCap ?? capIn(defaults) ?? USUAL_CAP
  const inputs = request.prompt.texts.length + request.prompt.tokenLists.length
  return {
    ...PLAIN_TERMS,
    provider,
    facts,
    estimate: estimateTexts(facts, visit),
    requestBytes: request.text.length + JSON.stringify(deployment.defaults).length,
    choices: request.written * inputs,
    inputs,
    outputCap,
    leastOutput: 1,
    isCapBelieved: letThrough.length === 0,
    inputTexts: () => sureTexts(visit),
    prepare({ asksUsage, outputCap: applied, ...sending }) {
      const call = { ...sending, request, model, apiBase, defaults, drop, dropAt, askUsage: asksUsage }
      const asked = completions.prepare({ ...call, outputCap: applied ?? outputCap })
      return { ...asked, body: [asked.body] }
    },
    readWhole: (body) => withoutEcho(completions.readResponse(body, request.model), request),
    readStream: () => completions.readStream(request.n * inputs, request.model),
    mock: null,
  }
}

/** Every prompt and its suffix; prompts that were sent as tokens count one token each. */
function visitPrompt({ prompt, json }: CompletionRequest, strange: readonly string[], visitor: InputVisitor): void {
  for (const text of prompt.texts) visitor.text(text, true)
  for (const text of strange) visitor.text(text, true)
  // The same suffix follows each prompt.
  const times = prompt.texts.length + prompt.tokenLists.length
  if (typeof json.suffix === 'string') for (let at = 0; at < times; at += 1) visitor.text(json.suffix, true)
  for (const tokens of prompt.tokenLists) visitor.framing(tokens.length, true)
  visitor.framing(MARKS * times, false)
}

const OWN: ReadonlySet<string> = new Set([
  ...[
    'frequency_penalty',
    'logit_bias',
    'max_tokens',
    'presence_penalty',
    'seed',
    'stop',
    'temperature',
    'top_p',
    'user',
  ],
])

/** The operator's defaults that such a request can have: a wildcard serves other endpoints too. */
function knownDefaults({ defaults, apiBase }: Deployment, { takes }: CompletionsCapability) {
  const { members } = takes(apiBase)
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => OWN.has(name) || members.has(name)))
}

function capIn({ max_tokens: cap }: Readonly<Record<string, unknown>>): number | null {
  return typeof cap === 'number' ? cap : null
}
