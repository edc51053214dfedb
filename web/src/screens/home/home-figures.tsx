import dayjs from 'dayjs'
import type { Home } from '../../api/home.ts'
import { Amount } from '../../ui/amount.tsx'
import { Figure } from '../../ui/figure.tsx'

export function HomeFigures({ figures }: { figures: Home }) {
  const { available, held, running_calls: running } = figures
  return (
    <div className="columns" data-home>
      <Figure label="Available" note={<Outlook of={figures} />}>
        <Amount credits={available} />
      </Figure>
      <Figure label="Reserved" note={running === 1 ? 'by 1 running call' : `by ${running} running calls`}>
        <Amount credits={held} />
      </Figure>
      <Figure label="Spent today" note="since midnight, UTC">
        <Amount credits={figures.spent_today} />
      </Figure>
      <Figure label="Spent this month" note="since the first, UTC">
        <Amount credits={figures.spent_month} />
      </Figure>
    </div>
  )
}

function Outlook({ of: { allocated, lasts_until: until, resets_at: resets } }: { of: Home }) {
  return (
    <>
      {allocated !== null && (
        <>
          of <Amount credits={allocated} />;{' '}
        </>
      )}
      {until === null
        ? 'nothing is spent that would end it'
        : `lasts to ${dayjs(until).format('D MMMM YYYY')} at this pace`}
      {resets !== null && `; anew on ${dayjs(resets).format('D MMMM')}`}
    </>
  )
}
