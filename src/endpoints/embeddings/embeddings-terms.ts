/** What embeddings may cost on a deployment, and how they are asked of the provider and read back. */
import type { EmbeddingsCapability, EmbeddingsRequest, Encoding } from '../../../providers/embeddings.ts'
import { listResponse } from '../../../providers/embeddings-body.ts'
import { showPath } from '../../../providers/known-members/shape.ts'
import { emptyReading } from '../../../providers/reading.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateTexts } from '../../metering/estimate.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { judgeStrangers } from '../chat-completions/strange-members.ts'
import { capabilityOf } from '../model-kinds.ts'
import { PLAIN_TERMS } from '../plain-terms.ts'
import { unsupported } from '../read-members.ts'

/** @throws {TollgateError} 400 for a member that the provider can't honour and that may not be left out. */
export function embeddingsTerms(request: EmbeddingsRequest, deployment: Deployment): Terms {
  const { provider, capability: embeddings } = capabilityOf(deployment, 'embeddings')
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
    ...PLAIN_TERMS,
    provider,
    facts,
    estimate: estimateTexts(facts, visit),
    requestBytes: request.text.length + JSON.stringify(deployment.defaults).length,
    choices: 1,
    isInputOnly: true,
    inputs: texts.length + tokenLists.length,
    outputCap: 0,
    leastOutput: 0,
    isCapBelieved: true,
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

/** Every text, and one token for each that was sent as a token: exactly what is embedded. */
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

/** The operator's defaults that an embedding request can have: a wildcard serves other endpoints too. */
function knownDefaults({ defaults, apiBase, allowedParams }: Deployment, { takes }: EmbeddingsCapability): Json {
  const { members } = takes(apiBase)
  const isTaken = (name: string) => OWN.has(name) || members.has(name) || allowedParams.includes(name)
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => isTaken(name)))
}

const OWN: ReadonlySet<string> = new Set(['dimensions', 'encoding_format', 'user'])

/** Unknown members can't be translated, whatever the operator allows. */
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

/** The mock's embeddings: the same vector for every text, no longer than memory allows. */
function mockOf({ input, model }: EmbeddingsRequest, asked: Json): Buffer {
  const size = Math.min(MOCK_DIMENSIONS, typeof asked.dimensions === 'number' ? asked.dimensions : MOCK_DIMENSIONS)
  const vector = Array.from({ length: size }, (_, index) => (index === 0 ? 1 : 0))
  const vectors = [...input.texts, ...input.tokenLists].map(() => vector)
  const response = listResponse(vectors, emptyReading(), { asked: model, encoding: encodingOf(asked) })
  return response.body(null, {})
}
