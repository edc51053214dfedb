import { Text } from '@mantine/core'
import { GROUPS_SHOWN, type Usage, type UsageGroup } from '../../api/usage.ts'
import { nanoOfCredits, showCount } from '../../money/amounts.ts'
import { Amount } from '../../ui/amount.tsx'
import { type Column, Rows } from '../../ui/rows.tsx'
import { changeOf } from './change-of.ts'
import { GroupName } from './group-name.tsx'
import type { GroupBy } from './usage-search.ts'

/** Days have no counterpart of the same name in the period before: only the total is compared. */
const COMPARED: readonly GroupBy[] = ['model', 'key', 'user']

export function UsageTable({ by, usage, earlier }: { by: GroupBy; usage: Usage; earlier: Usage | undefined }) {
  const before = new Map(earlier?.data.map((one) => [one.group[by], nanoOfCredits(one.credits)]))
  const columns: Column<UsageGroup>[] = [
    { label: by[0]?.toUpperCase() + by.slice(1), cell: (one) => <GroupName by={by} one={one} /> },
    { label: 'Calls', end: true, cell: (one) => <span className="number">{showCount(one.calls)}</span> },
    { label: 'Failed', end: true, cell: (one) => <span className="number">{showCount(one.failed_calls)}</span> },
    { label: 'Input', end: true, cell: (one) => <span className="number">{showCount(one.input_tokens)}</span> },
    { label: 'Cached', end: true, cell: (one) => <span className="number">{showCount(one.cached_tokens)}</span> },
    { label: 'Output', end: true, cell: (one) => <span className="number">{showCount(one.output_tokens)}</span> },
    { label: 'Charged', end: true, cell: (one) => <Amount credits={one.credits} /> },
  ]
  if (earlier !== undefined && COMPARED.includes(by))
    columns.push({
      label: 'Before',
      end: true,
      cell: (one) => {
        const then = before.get(one.group[by] ?? '') ?? 0n
        return (
          <span title={changeOf(nanoOfCredits(one.credits), then)}>
            <Amount nano={then} />
          </span>
        )
      },
    })
  return (
    <>
      <Rows label={`Usage by ${by}`} rows={usage.data} columns={columns} keyOf={(one) => one.group[by] ?? ''} />
      {usage.next_cursor !== null && (
        <Text size="sm" c="dimmed" mt="sm">
          These are the first {GROUPS_SHOWN}. The export has all of them.
        </Text>
      )}
    </>
  )
}
