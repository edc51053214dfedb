/** Measures what a call used: the stated usage plus what was shown after it; where nothing was stated, our own count. */

import type { Reading } from '../../providers/reading.ts'
import { withImages } from '../../providers/seen-images.ts'
import { isUsed, NO_USAGE, type Usage } from '../../providers/usage.ts'
import { countText } from '../metering/count-text.ts'
import { estimateText } from '../metering/estimate.ts'
import { cutToPassed } from '../metering/plausible.ts'
import { type Attempt, idsOf, modelOf } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { Measured } from './price-statement.ts'
import type { Served } from './served.ts'

type Deps = Pick<CallDependencies, 'learned' | 'money' | 'observe'>

/** Returns the usage in disjoint buckets, and whether the provider stated it. */
export async function measureUsage(deps: Deps, attempt: Attempt, served: Served): Promise<Measured> {
  const stated = statedUsage(served)
  // This case comes first because it reads all text that was shown, and that should happen once only.
  if (stated === null) return { ...(await measureUnstated(deps, attempt, served)), asStated: false }
  const toolFees = { ...attempt.candidate.toolUses, ...stated.toolFees }
  const text = served.outputText()
  if (text === '' && served.isFinal)
    return { usage: { ...stated, toolFees }, provenance: 'provider_usage', asStated: true }
  // The usage was stated while the response ran: believe it as far as the bytes and images before it allow, and count what
  // came after it.
  const passed = Buffer.byteLength(served.shownText()) - Buffer.byteLength(text)
  const drawn = served.reading.seen?.imageOutput ?? 0
  const believed = cutToPassed(withImages(stated, served.reading), passed, drawn)
  const counted = await countOutput(deps, attempt, text)
  const output = believed.output + counted + hiddenBeside(deps, attempt, served, counted)
  const imageOutput = Math.max(believed.imageOutput, drawn)
  const usage = { ...believed, output, imageOutput, toolFees }
  const isWhole = believed === stated && text === '' && imageOutput === believed.imageOutput
  return { usage, provenance: isWhole ? 'provider_usage' : 'estimated', asStated: false }
}

/** A usage of zero beside content counts as missing. A stated cost counts, whatever tokens it names. */
export function statedUsage({ reading: { usage, cost }, hasContent }: Served): Usage | null {
  if (usage === null || !hasContent || (cost ?? 0n) > 0n) return usage
  return isUsed(usage) ? usage : null
}

async function measureUnstated(
  deps: Deps,
  attempt: Attempt,
  served: Served,
): Promise<Pick<Measured, 'usage' | 'provenance'>> {
  // A call that delivered nothing costs nothing, unless its caller left too early.
  const isNothing = !served.hasContent && (served.outcome === 'answered' || served.outcome === 'cut_off')
  if (isNothing) return { usage: NO_USAGE, provenance: 'estimated' }
  const counted = await countServed(deps, attempt, served.shownText(), served.reading)
  const output = counted.output + hiddenBeside(deps, attempt, served, counted.output)
  return { usage: { ...counted, output }, provenance: 'estimated' }
}

/**
 * Hidden tokens of a stream that was left or stopped before its usage was stated: the model's usual share of the shown ones, within the
 * hold. The quote's rates are the dearest, so what fits the hold at them fits at any.
 */
function hiddenBeside({ learned }: Deps, attempt: Attempt, { outcome }: Served, shown: number): number {
  const { call, candidate } = attempt
  if (candidate.topSpeed === null || (outcome !== 'client_disconnected' && outcome !== 'stopped')) return 0
  const room = call.hold.outputTokens(candidate) * candidate.terms.choices - shown
  return Math.max(0, Math.min(learned.hiddenShares.hiddenFor(modelOf(attempt), shown), room))
}

/** Counts what was served with the model's tokenizer. @param shows what else the response shows: uses of the provider's tools, images. */
export async function countServed(
  deps: Deps,
  attempt: Attempt,
  text: string,
  shows: Pick<Reading, 'toolUses' | 'seen'> = {},
): Promise<Usage> {
  const { estimate, terms, toolUses } = attempt.candidate
  const toolFees = { ...toolUses, ...shows.toolUses }
  const output = await countOutput(deps, attempt, text)
  // Media count at their usual size; only holds take the most they can be.
  const { media, audioInput } = estimate.expected
  const { texts, framing } = terms.inputTexts()
  const said = await countOr(deps, attempt, texts, () => estimate.tokens - framing)
  const counted = { input: said + framing + media, audioInput, output, toolFees }
  return { ...NO_USAGE, ...counted, ...estimate.units?.expected, ...shows.seen }
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
