/** Every call, the newest first, running ones included. An event of the server brings new ones without a reload. */
import { Button } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { callsQuery } from '../../api/calls.ts'
import { CallTable } from '../../ui/call-table.tsx'
import { Card } from '../../ui/card.tsx'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { CallFilters } from './call-filters.tsx'
import type { CallSearch } from './call-search.ts'

export function CallsScreen() {
  const search = useSearch({ from: '/shell/app/calls' })
  const navigate = useNavigate({ from: '/app/calls' })
  const calls = useInfiniteQuery(callsQuery(search))
  const change = (part: CallSearch) => void navigate({ search: (before) => ({ ...before, ...part }), replace: true })
  const isFiltered = Object.keys(search).length > 0
  return (
    <Page
      title="Calls"
      description="What each call was charged, and what it holds while it runs. New calls appear by themselves."
    >
      <CallFilters search={search} change={change} />
      <Card title="Newest first">
        <Loaded query={calls} height={24}>
          {({ pages }) => {
            const rows = pages.flatMap(({ data }) => data)
            if (rows.length === 0) return isFiltered ? <NoneFound /> : <NoneYet />
            return (
              <>
                <CallTable calls={rows} withUser={search.scope !== undefined} />
                {calls.hasNextPage && (
                  <Button
                    variant="default"
                    mt="md"
                    loading={calls.isFetchingNextPage}
                    onClick={() => void calls.fetchNextPage()}
                  >
                    Earlier calls
                  </Button>
                )}
              </>
            )
          }}
        </Loaded>
      </Card>
    </Page>
  )
}

function NoneFound() {
  return (
    <Empty title="No call is like that">
      Take a filter away. A search finds call ids and request ids, whole or by their beginning.
    </Empty>
  )
}

function NoneYet() {
  return (
    <Empty title="No calls yet">
      The start page has a first call to paste. It appears here as soon as it starts, without a reload.
    </Empty>
  )
}
