/** An amount in dollars, whole; the same in credits beside it for whoever points at it. */
import { formatDecimal, trimDecimal } from '../../../src/metering/money.ts'
import { type Decimal, nanoOfCredits, nanoOfDollars, showNano } from '../money/amounts.ts'

type Props = { credits: Decimal | null | undefined } | { dollars: Decimal | null | undefined } | { nano: bigint }

export function Amount(props: Props) {
  const nano = nanoOf(props)
  if (nano === null) return <span>–</span>
  // Everything is shown; what is below a cent is smaller, so that the eye finds the dollars.
  const [, cents, rest = ''] = /^(.*\.\d\d)(\d*)$/.exec(showNano(nano)) ?? []
  return (
    <span className="number" title={`${trimDecimal(nano, 6)} credits`} data-dollars={formatDecimal(nano, 9)}>
      {cents}
      {rest !== '' && <small>{rest}</small>}
    </span>
  )
}

function nanoOf(props: Props): bigint | null {
  if ('nano' in props) return props.nano
  if ('credits' in props) return props.credits == null ? null : nanoOfCredits(props.credits)
  return props.dollars == null ? null : nanoOfDollars(props.dollars)
}
