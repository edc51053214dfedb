/** What was used and what it cost: by day, model, key, user or run, beside the period before where that is asked for. */
import { Button, Switch } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { addressOf } from '../../api/client.ts'
import { type UsageAsked, usageQuery } from '../../api/usage.ts'
import { nanoOfCredits } from '../../money/amounts.ts'
import { Card } from '../../ui/card.tsx'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { UsageFilters } from './usage-filters.tsx'
import { daysOf, type Span, spanBefore, spanOf, todayInUtc, type UsageSearch } from './usage-search.ts'
import { UsageTable } from './usage-table.tsx'
import { UsageTotals } from './usage-totals.tsx'

// Charts weigh more than everything else of this screen: the figures are there before them.
const DayChart = lazy(() => import('../../ui/day-chart.tsx'))

export function UsageScreen() {
  const search = useSearch({ from: '/shell/app/usage' })
  const navigate = useNavigate({ from: '/app/usage' })
  const change = (part: Partial<UsageSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true })
  const span = spanOf(search, todayInUtc())
  const asked = { ...span, scope: search.scope }
  const before = { ...spanBefore(span, search.period), scope: search.scope }
  const groups = useQuery(usageQuery({ ...asked, group_by: search.by }))
  const days = useQuery(usageQuery({ ...asked, group_by: 'day' }))
  const earlier = useQuery({ ...usageQuery({ ...before, group_by: search.by }), enabled: search.compare })
  return (
    <Page
      title="Usage"
      description="Days are in UTC. Every sum equals the books."
      actions={<ExportButton asked={{ ...asked, group_by: search.by }} />}
    >
      <UsageFilters search={search} span={span} change={change} />
      <Loaded query={groups} height={24}>
        {(usage) => (
          <>
            <UsageTotals total={usage.total} before={search.compare ? earlier.data?.total : undefined} />
            <Card title="Charged by day">
              <Suspense fallback={<div className="chart" />}>
                <DayChart label="Dollars charged by day" days={heights(span, days.data?.data ?? [])} />
              </Suspense>
            </Card>
            <Card
              title={`By ${search.by}`}
              aside={
                <Switch
                  label="Compare with the period before"
                  checked={search.compare}
                  onChange={({ currentTarget }) => change({ compare: currentTarget.checked })}
                />
              }
            >
              {usage.data.length === 0 ? (
                <Empty title="Nothing was used in these days">
                  Choose a longer period, or make a call: the start page has one to paste.
                </Empty>
              ) : (
                <UsageTable by={search.by} usage={usage} earlier={search.compare ? earlier.data : undefined} />
              )}
            </Card>
          </>
        )}
      </Loaded>
    </Page>
  )
}

function heights(span: Span, groups: readonly { group: Record<string, string>; credits: number | string }[]) {
  const charged = new Map(groups.map(({ group, credits }) => [group.day, nanoOfCredits(credits)]))
  return daysOf(span).map((day) => ({ day, nano: charged.get(day) ?? 0n }))
}

function ExportButton({ asked }: { asked: UsageAsked }) {
  return (
    <>
      <Button
        component="a"
        variant="default"
        leftSection={<IconDownload size={16} aria-hidden />}
        href={addressOf('/api/v1/usage/export', {}, { ...asked, format: 'csv' })}
        download
      >
        CSV
      </Button>
      <Button
        component="a"
        variant="default"
        leftSection={<IconDownload size={16} aria-hidden />}
        href={addressOf('/api/v1/usage/export', {}, { ...asked, format: 'focus' })}
        download
      >
        FOCUS
      </Button>
    </>
  )
}
