/** How much a call used: as stated, plus what was shown beyond it; where nothing was stated, counted here. */
import { inputTokens, NO_USAGE, outputTokens, type Usage } from '../../providers/usage.ts'
import { countText } from '../metering/count-text.ts'
import { estimateText } from '../metering/estimate.ts'
import { cutToPassed } from '../metering/plausible.ts'
import { type Attempt, idsOf, modelOf } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { Measured } from './price-statement.ts'
import type { Served } from './served.ts'

type Deps = Pick<CallDependencies, 'learned' | 'money' | 'observe'>

/** Returns usage in disjoint buckets, and whether it is what the provider stated. */
export async function measureUsage(deps: Deps, attempt: Attempt, served: Served): Promise<Measured> {
  const stated = statedUsage(served)
  // This case comes first because it reads all text that was shown, and that should happen once only.
  if (stated === null) return { ...(await measureUnstated(deps, attempt, served)), asStated: false }
  const toolFees = { ...attempt.candidate.toolUses, ...stated.toolFees }
  const text = served.outputText()
  if (text === '' && served.isFinal)
    return { usage: { ...stated, toolFees }, provenance: 'provider_usage', asStated: true }
  // The usage was stated while the response ran: believe it as far as the bytes that had passed allow, and count what came since.
  const passed = Buffer.byteLength(served.shownText()) - Buffer.byteLength(text)
  const believed = cutToPassed(stated, passed)
  const counted = await countOutput(deps, attempt, text)
  const output = believed.output + counted + hiddenBeside(deps, attempt, served, counted)
  const usage = { ...believed, output, toolFees }
  const isWhole = believed === stated && text === ''
  return { usage, provenance: isWhole ? 'provider_usage' : 'estimated', asStated: false }
}

/** Usage of zero beside content counts as missing; but a bill counts, whatever tokens it names. */
export function statedUsage({ reading: { usage, cost }, hasContent }: Served): Usage | null {
  if (usage === null || !hasContent || (cost ?? 0n) > 0n) return usage
  return inputTokens(usage) + outputTokens(usage) > 0 ? usage : null
}

async function measureUnstated(
  deps: Deps,
  attempt: Attempt,
  served: Served,
): Promise<Pick<Measured, 'usage' | 'provenance'>> {
  // A call that delivered nothing costs nothing, unless its caller left before it could.
  const isNothing = !served.hasContent && (served.outcome === 'answered' || served.outcome === 'cut_off')
  if (isNothing) return { usage: NO_USAGE, provenance: 'estimated' }
  const counted = await countServed(deps, attempt, served.shownText(), served.reading.toolUses)
  const output = counted.output + hiddenBeside(deps, attempt, served, counted.output)
  return { usage: { ...counted, output }, provenance: 'estimated' }
}

/**
 * Tokens that did not show in a stream that was left or stopped before its usage: the model's usual share of what did, as far as the
 * hold goes. The quote's rates are the dearest, so what fits by them fits by any.
 */
function hiddenBeside({ learned }: Deps, attempt: Attempt, { outcome }: Served, shown: number): number {
  const { call, candidate } = attempt
  if (candidate.topSpeed === null || (outcome !== 'client_disconnected' && outcome !== 'stopped')) return 0
  const room = call.hold.outputTokens(candidate) * candidate.terms.choices - shown
  return Math.max(0, Math.min(learned.hiddenShares.hiddenFor(modelOf(attempt), shown), room))
}

/** What was served, by the model's tokenizer. @param seen uses of the provider's tools that the response shows. */
export async function countServed(
  deps: Deps,
  attempt: Attempt,
  text: string,
  seen: Usage['toolFees'] = {},
): Promise<Usage> {
  const { estimate, terms, toolUses } = attempt.candidate
  const toolFees = { ...toolUses, ...seen }
  const output = await countOutput(deps, attempt, text)
  // Media count at their usual size; only holds take the most they can be.
  const { media, audioInput } = estimate.expected
  const { texts, framing } = terms.inputTexts()
  const said = await countOr(deps, attempt, texts, () => estimate.tokens - framing)
  return { ...NO_USAGE, input: said + framing + media, audioInput, output, toolFees }
}

async function countOutput(deps: Deps, attempt: Attempt, text: string): Promise<number> {
  return text === '' ? 0 : countOr(deps, attempt, text, () => estimateText(text))
}

async function countOr(
  { money, observe }: Deps,
  { call, candidate }: Attempt,
  text: string | readonly string[],
  estimate: () => number,
): Promise<number> {
  try {
    return await countText(money.tokenizer, text, candidate.terms.facts, call.caller.organizationId)
  } catch (error) {
    observe.log.error({ ...idsOf(call), err: error }, 'counting failed; charged by the fast estimate')
    return estimate()
  }
}
