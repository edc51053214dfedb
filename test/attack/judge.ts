/** Whether a promise was kept. */
import type { Observed } from './perform.ts'
import type { Bound, Trick } from './trick.ts'

/** Null, or what is wrong. */
export function judge(trick: Trick, observed: Observed): string | null {
  const { promise, overdraft = 0n } = trick
  if (observed.remaining < -overdraft) return `the payer is ${credits(-observed.remaining)} below zero`
  if (promise.kind === 'refused') return judgeRefusal(promise, observed)
  const isDisputed = observed.provenances.includes('disputed')
  if (isDisputed !== (promise.kind === 'disputed')) return isDisputed ? 'is disputed' : 'is not disputed'
  const least = amountOf(promise.least, observed)
  const most = amountOf(promise.most, observed)
  if (observed.charged < least) return `charged less than ${credits(least)}`
  if (observed.charged > most) return `charged more than ${credits(most)}`
  return null
}

function judgeRefusal({ status, code }: { status: number; code: string }, observed: Observed): string | null {
  const { last, calls, holds, charged } = observed
  if (calls > 0) return `reached the provider, ${calls} times`
  if (holds > 0 || charged > 0n) return 'something was held or charged'
  if (last.status !== status) return `answered ${last.status}: ${last.body.slice(0, 200)}`
  return last.body.includes(`"${code}"`) ? null : `the code is another one: ${last.body.slice(0, 200)}`
}

function amountOf(bound: Bound, { truth, held }: Observed): bigint {
  if (bound === 'true') return truth
  if (bound === 'held') return held
  // What is true is never too much.
  if (bound === 'either') return held > truth ? held : truth
  return bound
}

/** Six digits behind the point. */
export function credits(micro: bigint): string {
  const digits = (micro < 0n ? -micro : micro).toString().padStart(7, '0')
  return `${micro < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`
}
