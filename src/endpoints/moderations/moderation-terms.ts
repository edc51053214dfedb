/** What moderations may cost on a deployment, and how they are asked of the provider and read back. */
import { KNOWN_MODERATION } from '../../../providers/known-members/media-members.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { flatTerms } from '../flat/flat-terms.ts'
import { judgeFlat } from '../flat/judge-flat.ts'
import { capabilityOf } from '../model-kinds.ts'
import { unsupported } from '../read-members.ts'
import { mockModeration } from './mock-moderation.ts'
import type { ModerationRequest } from './read-request.ts'

/** @throws {TollgateError} 400 for what can't be honoured or bounded. */
export function moderationTerms({ flat, texts, hasImages }: ModerationRequest, deployment: Deployment): Terms {
  const { provider, capability: moderations } = capabilityOf(deployment, 'moderations')
  const { upstreamModel: model, mockResponse, price } = deployment
  const known = KNOWN_MODERATION.members
  const judged = judgeFlat(flat, deployment, { capability: moderations, label: provider.label, known })
  const isFree = moderations.isFree(model) && price === null
  if (hasImages && !isFree)
    throw unsupported('input', 'What images cost to be judged is not known for this model. Send texts.')
  const facts = moderations.model(model)
  return {
    ...flatTerms({ provider, facts, request: flat, texts, judged }, deployment, moderations.prepare),
    isInputOnly: true,
    isFree,
    inputs: Math.max(1, texts.length),
    outputCap: 0,
    leastOutput: 0,
    readWhole: (body) => moderations.readResponse(body, flat.model),
    readStream() {
      throw new Error('moderations are not streamed')
    },
    mock: mockResponse === null ? null : () => mockModeration(flat.json.input, flat.model),
  }
}
