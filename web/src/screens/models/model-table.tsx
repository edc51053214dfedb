import type { ReactNode } from 'react'
import type { Model } from '../../api/models.ts'
import { showCount } from '../../money/amounts.ts'
import { Amount } from '../../ui/amount.tsx'
import { Rows } from '../../ui/rows.tsx'

export function ModelTable({ models, action }: { models: readonly Model[]; action: (model: Model) => ReactNode }) {
  return (
    <Rows
      label="Models, dollars a million tokens"
      rows={models}
      keyOf={({ id }) => id}
      columns={[
        { label: 'Model', cell: ({ id }) => <span className="mono">{id}</span> },
        {
          label: 'Provider',
          cell: ({ provider, paysOwnKey }) => (paysOwnKey ? `${provider}, on your own key` : provider),
        },
        { label: 'Input, a million', end: true, cell: ({ input }) => <Amount dollars={input} /> },
        { label: 'Output, a million', end: true, cell: ({ output }) => <Amount dollars={output} /> },
        {
          label: 'Context',
          end: true,
          cell: ({ context }) => (
            <span className="number">{context === null ? '–' : `${showCount(context)} tokens`}</span>
          ),
        },
        { label: 'Try', end: true, cell: action },
      ]}
    />
  )
}
