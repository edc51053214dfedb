/** One call: from the request to the settlement, its tokens, its price line by line, and how each figure is known. */
import { Anchor } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { type Call, callQuery } from '../../api/calls.ts'
import { Card } from '../../ui/card.tsx'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { AttemptTable } from './attempt-table.tsx'
import { CallFacts } from './call-facts.tsx'
import { CallFigures } from './call-figures.tsx'
import { CallTimeline } from './call-timeline.tsx'
import { PriceTable } from './price-table.tsx'

export function CallScreen() {
  const { callId } = useParams({ from: '/shell/app/calls/$callId' })
  const call = useQuery(callQuery(callId))
  return (
    <Page
      title={call.data?.model ?? 'Call'}
      description={<span className="mono">{callId}</span>}
      actions={
        <Anchor size="sm" renderRoot={(props) => <Link to="/app/calls" {...props} />}>
          All calls
        </Anchor>
      }
    >
      <Loaded query={call} height={30}>
        {(one) => <CallParts call={one} />}
      </Loaded>
    </Page>
  )
}

function CallParts({ call }: { call: Call }) {
  return (
    <>
      <CallFigures call={call} />
      <Card
        title="What it costs, line by line"
        note={call.price_source === null ? undefined : `Rates: ${call.price_source}`}
      >
        {call.lines.length === 0 ? (
          <Empty title="Nothing is charged">{nothingOf(call)}</Empty>
        ) : (
          <PriceTable call={call} />
        )}
      </Card>
      <div className="columns wide">
        <Card title="From the request to the settlement">
          <CallTimeline events={call.timeline} />
        </Card>
        <Card title="About it">
          <CallFacts call={call} />
        </Card>
      </div>
      {call.attempts.length > 0 && (
        <Card title="Attempt" note="The one that was billed. The timeline says how many came before it.">
          <AttemptTable attempts={call.attempts} />
        </Card>
      )}
    </>
  )
}

function nothingOf({ status }: Call): string {
  if (status === 'running') return 'It is running. The price stands here when it has ended; this page needs no reload.'
  return 'Nothing was consumed, so the hold was given back.'
}
