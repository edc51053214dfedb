/** generateContent for those who speak it: requests and responses pass as they are, but for what is priced, capped and shown. */
import type { GenerateCapability } from '../../generate.ts'
import { asObject } from '../../json.ts'
import { isCompatible } from '../compatible.ts'
import { googleMediaTokens } from '../media.ts'
import { askedThinkingBudget, LEAST_CAP_OF_THINKING } from '../thinking.ts'
import { askedOf } from './asked.ts'
import { preparePassed } from './passed-request.ts'
import { readPassedResponse } from './passed-response.ts'
import { readPassedStream } from './passed-stream.ts'
import { passedRefusals, passedTools } from './passed-tools.ts'

export const passedGenerate: GenerateCapability = {
  isSpokenAt: (apiBase) => !isCompatible(apiBase),
  ask: askedOf,
  // Nothing is fetched here: what is named by its address Google reads, or refuses.
  mediaTokens: (model) => googleMediaTokens(model, () => false),
  serverTools: passedTools,
  refuses: passedRefusals,
  leastOutput: ({ generationConfig }) =>
    askedThinkingBudget(asObject(asObject(generationConfig)?.thinkingConfig)) === null ? 1 : LEAST_CAP_OF_THINKING,
  prepare: preparePassed,
  readResponse: readPassedResponse,
  readStream: readPassedStream,
}
