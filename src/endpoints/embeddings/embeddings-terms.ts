/** What embeddings may cost on a deployment, and how the request gets to the deployment's provider and back. */
import type { EmbeddingsCapability, EmbeddingsRequest, Encoding } from '../../../providers/embeddings.ts'
import { listResponse } from '../../../providers/embeddings-body.ts'
import { showPath } from '../../../providers/known-members/shape.ts'
import type { Provider } from '../../../providers/provider.ts'
import { emptyReading } from '../../../providers/reading.ts'
import { findProvider } from '../../../providers/registry.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { modeOf } from '../../config/mode-of.ts'
import { TollgateError } from '../../http/errors.ts'
import { estimateVisited, inTokensOf } from '../../metering/estimate.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { judgeStrangers } from '../chat-completions/strange-members.ts'
import { unsupported } from '../read-members.ts'

/** @throws {TollgateError} 400 for what the provider can't honour and may not be left out. */
export function embeddingsTerms(request: EmbeddingsRequest, deployment: Deployment): Terms {
  const { provider, embeddings } = embeddingsOf(deployment)
  const { upstreamModel: model, apiBase, mockResponse } = deployment
  const taken = { taken: embeddings.takes(apiBase), label: provider.label }
  const strangers = judgeStrangers(request, taken, judgedBy(deployment, embeddings))
  const asked = { ...knownDefaults(deployment, embeddings), ...request.json }
  const drop = [...strangers.drop, ...droppedMembers(request, asked, deployment, embeddings)]
  const facts = embeddings.model(model)
  const strange = strangers.letThrough.map(({ path, value }) => JSON.stringify({ [showPath(path)]: value }))
  const visit = (visitor: InputVisitor) => visitInput(request, embeddings.framing(apiBase), strange, visitor)
  const { texts, tokenLists } = request.input
  return {
    provider,
    facts,
    estimate: inTokensOf(facts, estimateVisited(visit, noMedia), false),
    requestBytes: request.text.length + JSON.stringify(deployment.defaults).length,
    choices: 1,
    isInputOnly: true,
    inputs: texts.length + tokenLists.length,
    outputCap: 0,
    leastOutput: 0,
    isCapBelieved: true,
    tools: [],
    mayServe: [],
    serviceTier: null,
    asksForAudio: false,
    asksForLongCache: false,
    inputTexts: () => sureTexts(visit),
    ...wire(request, deployment, embeddings, { drop, dropAt: strangers.dropAt, asked }),
    mock: mockResponse === null ? null : () => ({ whole: mockOf(request, asked), frames: [] }),
  }
}

type Json = Readonly<Record<string, unknown>>

interface Known {
  drop: readonly string[]
  dropAt: ReturnType<typeof judgeStrangers>['dropAt']
  asked: Json
}

function wire(
  request: EmbeddingsRequest,
  deployment: Deployment,
  embeddings: EmbeddingsCapability,
  { drop, dropAt, asked }: Known,
): Pick<Terms, 'prepare' | 'readWhole' | 'readStream'> {
  const { upstreamModel: model, apiBase } = deployment
  const defaults = knownDefaults(deployment, embeddings)
  const context = { asked: request.model, model, encoding: encodingOf(asked) }
  return {
    prepare({ outputCap: _, asksUsage: __, ...sending }) {
      const sent = embeddings.prepare({ ...sending, request, model, apiBase, defaults, drop, dropAt })
      return { ...sent, body: [sent.body] }
    },
    readWhole: (body) => embeddings.readResponse(body, context),
    readStream() {
      throw new Error('embeddings are not streamed')
    },
  }
}

function encodingOf({ encoding_format: asked }: Json): Encoding {
  return asked === 'base64' ? 'base64' : 'float'
}

/** Every text, and a token for each that was sent as one: no more and no less than is embedded. */
function visitInput(
  { input: { texts, tokenLists } }: EmbeddingsRequest,
  framing: number,
  strange: readonly string[],
  visitor: InputVisitor,
): void {
  for (const text of texts) visitor.text(text, true)
  for (const text of strange) visitor.text(text, true)
  for (const tokens of tokenLists) visitor.framing(tokens.length, true)
  visitor.framing(framing * (texts.length + tokenLists.length), false)
}

const noMedia = () => ({ bound: 0, expected: 0 })

/** @throws {TollgateError} 400 where it makes none. */
function embeddingsOf(deployment: Deployment): { provider: Provider; embeddings: EmbeddingsCapability } {
  const provider = findProvider(deployment.provider)
  const shown = `'${deployment.modelName.slice(0, 100)}'`
  const refuse = (message: string) => new TollgateError(400, 'unsupported_endpoint', message, { param: 'model' })
  if (modeOf(deployment) !== 'embedding') {
    throw refuse(
      `${shown} makes no embeddings. Ask for a model that does; where this one does, the operator can set model_info.mode: embedding.`,
    )
  }
  if (provider?.embeddings === undefined)
    throw refuse(`${provider?.label ?? deployment.provider} serves no embeddings. Ask for another model.`)
  return { provider, embeddings: provider.embeddings }
}

/** Of what the operator set for this deployment, what an embedding request can have: a wildcard serves other endpoints too. */
function knownDefaults({ defaults, apiBase, allowedParams }: Deployment, { takes }: EmbeddingsCapability): Json {
  const { members } = takes(apiBase)
  const isTaken = (name: string) => OWN.has(name) || members.has(name) || allowedParams.includes(name)
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => isTaken(name)))
}

const OWN: ReadonlySet<string> = new Set(['dimensions', 'encoding_format', 'user'])

/** What nobody knows can't be translated, whatever the operator allows. */
function judgedBy(deployment: Deployment, { isTranslated }: EmbeddingsCapability): Deployment {
  return isTranslated(deployment.upstreamModel, deployment.apiBase) ? { ...deployment, allowedParams: [] } : deployment
}

/** @throws {TollgateError} 400, naming what the provider can't honour and the operator does not let us leave out. */
function droppedMembers(
  { input }: EmbeddingsRequest,
  asked: Json,
  { upstreamModel, apiBase, dropParams }: Deployment,
  { refuses }: EmbeddingsCapability,
): string[] {
  return refuses(asked, input, upstreamModel, apiBase).map(({ param, message, droppable }) => {
    if (!droppable || !dropParams) throw unsupported(param, message)
    return param
  })
}

const MOCK_DIMENSIONS = 1_536

/** Of a deployment with a `mock_response`: the same direction for every text, and no more numbers than memory has room for. */
function mockOf({ input, model }: EmbeddingsRequest, asked: Json): Buffer {
  const size = Math.min(MOCK_DIMENSIONS, typeof asked.dimensions === 'number' ? asked.dimensions : MOCK_DIMENSIONS)
  const vector = Array.from({ length: size }, (_, index) => (index === 0 ? 1 : 0))
  const vectors = [...input.texts, ...input.tokenLists].map(() => vector)
  const response = listResponse(vectors, emptyReading(), { asked: model, encoding: encodingOf(asked) })
  return response.body(null, {})
}
