import type { Call } from '../../api/calls.ts'
import { showCount } from '../../money/amounts.ts'
import { Rows } from '../../ui/rows.tsx'
import { StateBadge } from '../../ui/state-badge.tsx'

type Attempt = Call['attempts'][number]

export function AttemptTable({ attempts }: { attempts: readonly Attempt[] }) {
  return (
    <Rows
      label="Attempts"
      rows={attempts.map((attempt, index) => ({ ...attempt, place: index + 1 }))}
      keyOf={({ place }) => `${place}`}
      columns={[
        { label: 'Try', cell: ({ place }) => place },
        { label: 'Provider', cell: ({ provider }) => provider },
        { label: 'Deployment', cell: ({ deployment }) => <span className="mono">{deployment}</span> },
        { label: 'Ended', cell: ({ status }) => <StateBadge state={status} /> },
        { label: 'What it said', cell: ({ error }) => error ?? '–' },
        {
          label: 'Took',
          end: true,
          cell: ({ ms }) => <span className="number">{ms === null ? '–' : `${showCount(ms)} ms`}</span>,
        },
      ]}
    />
  )
}
