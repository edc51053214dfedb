/** What the terms of all flat requests have in common: their texts are input, the bytes of their files are not. */
import type { FlatCall, FlatRequest } from '../../../providers/flat-request.ts'
import type { ModelFacts, Provider } from '../../../providers/provider.ts'
import type { OutgoingRequest, Sending, Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { estimateTexts } from '../../metering/estimate.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { sureTexts } from '../../metering/sure-texts.ts'
import { PLAIN_TERMS } from '../plain-terms.ts'
import type { JudgedFlat } from './judge-flat.ts'

export interface FlatTermsParts {
  provider: Provider
  facts: ModelFacts
  request: FlatRequest
  /** Those of the request that a model reads. */
  texts: readonly string[]
  judged: JudgedFlat
}

type Common = typeof PLAIN_TERMS &
  Pick<
    Terms,
    'provider' | 'facts' | 'estimate' | 'requestBytes' | 'choices' | 'isCapBelieved' | 'inputTexts' | 'prepare'
  >

/** @param prepare writes what goes to the provider. */
export function flatTerms(
  { provider, facts, request, texts, judged }: FlatTermsParts,
  { upstreamModel: model, apiBase, defaults: operators }: Deployment,
  prepare: (call: FlatCall) => OutgoingRequest,
): Common {
  const { defaults, drop, dropAt, strange } = judged
  const visit = (visitor: InputVisitor) => {
    for (const text of [...texts, ...strange]) visitor.text(text, true)
  }
  return {
    ...PLAIN_TERMS,
    provider,
    facts,
    estimate: estimateTexts(facts, visit),
    requestBytes: bytesOf(request) + JSON.stringify(operators).length,
    choices: 1,
    isCapBelieved: true,
    inputTexts: () => sureTexts(visit),
    prepare: ({ outputCap: _, asksUsage: __, ...sending }: Sending) =>
      prepare({ ...sending, request, model, apiBase, defaults, drop, dropAt }),
  }
}

function bytesOf({ form, text }: FlatRequest): number {
  return form === null ? text.length : form.fields.reduce((sum, [, value]) => sum + Buffer.byteLength(value), 0)
}
