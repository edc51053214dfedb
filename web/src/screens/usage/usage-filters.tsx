import { Group, SegmentedControl, Select } from '@mantine/core'
import { DateInput } from '@mantine/dates'
import '@mantine/dates/styles.css'
import { ScopeSelect } from '../../ui/scope-select.tsx'
import { GROUPS, type GroupBy, type Period, type Span, type UsageSearch } from './usage-search.ts'

const PERIODS = [
  { value: '7', label: '7 days' },
  { value: '30', label: '30 days' },
  { value: 'month', label: 'This month' },
  { value: 'last-month', label: 'Last month' },
  { value: 'days', label: 'Days of your choice' },
]

interface Props {
  search: UsageSearch
  span: Span
  change: (part: Partial<UsageSearch>) => void
}

export function UsageFilters({ search, span, change }: Props) {
  return (
    <Group gap="sm" align="flex-end">
      <Select
        label="Period"
        data={PERIODS}
        value={search.period}
        allowDeselect={false}
        onChange={(period) => change({ period: (period ?? '30') as Period, from: span.from, to: span.to })}
        w={180}
      />
      {search.period === 'days' && (
        <>
          <DateInput
            label="From"
            value={span.from}
            maxDate={span.to}
            valueFormat="YYYY-MM-DD"
            onChange={(from) => from !== null && change({ from })}
            w={130}
          />
          <DateInput
            label="To"
            value={span.to}
            minDate={span.from}
            valueFormat="YYYY-MM-DD"
            onChange={(to) => to !== null && change({ to })}
            w={130}
          />
        </>
      )}
      <ScopeSelect value={search.scope} permission="usage:read_members" onChange={(scope) => change({ scope })} />
      <SegmentedControl
        aria-label="Group by"
        data={GROUPS.filter((by) => by !== 'user' || search.scope !== 'user').map((by) => ({
          value: by,
          label: `By ${by}`,
        }))}
        value={search.by}
        onChange={(by) => change({ by: by as GroupBy })}
      />
    </Group>
  )
}
