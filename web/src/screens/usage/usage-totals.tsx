import type { Usage } from '../../api/usage.ts'
import { nanoOfCredits, showCount } from '../../money/amounts.ts'
import { Amount } from '../../ui/amount.tsx'
import { Figure } from '../../ui/figure.tsx'
import { changeOf } from './change-of.ts'

type Total = Usage['total']

/** @param before the same of the period before; undefined where it is not compared. */
export function UsageTotals({ total, before }: { total: Total; before: Total | undefined }) {
  const note = (name: 'credits' | 'calls' | 'input_tokens' | 'output_tokens') =>
    before === undefined ? undefined : changeOf(scaled(name, total), scaled(name, before))
  return (
    <div className="columns">
      <Figure label="Charged" note={note('credits')}>
        <Amount credits={total.credits} />
      </Figure>
      <Figure label="Calls" note={note('calls') ?? `${showCount(total.failed_calls)} of them failed`}>
        {showCount(total.calls)}
      </Figure>
      <Figure label="Input tokens" note={note('input_tokens') ?? `${showCount(total.cached_tokens)} from a cache`}>
        {showCount(total.input_tokens)}
      </Figure>
      <Figure label="Output tokens" note={note('output_tokens')}>
        {showCount(total.output_tokens)}
      </Figure>
    </div>
  )
}

function scaled(name: keyof Total, total: Total): bigint {
  return name === 'credits' ? nanoOfCredits(total.credits) : BigInt(total[name])
}
