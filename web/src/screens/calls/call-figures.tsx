import { Text } from '@mantine/core'
import type { Call } from '../../api/calls.ts'
import { nanoOfCredits, showCount } from '../../money/amounts.ts'
import { Amount } from '../../ui/amount.tsx'
import { Bar } from '../../ui/bar.tsx'
import { Figure } from '../../ui/figure.tsx'
import { StateBadge } from '../../ui/state-badge.tsx'

/** What each provenance means, in words. */
const KNOWN: Readonly<Record<string, string>> = {
  provider_cost: 'the provider stated the cost',
  provider_usage: 'the provider stated the tokens',
  estimated: 'counted here: the provider stated nothing',
  recovered: 'the last checkpoint of a process that ended',
  disputed: 'the statement of the provider was not possible',
}

export function CallFigures({ call }: { call: Call }) {
  const isRunning = call.status === 'running'
  return (
    <div className="columns">
      <Figure label="Charged" note={call.refunded_credits !== null && <Refunded credits={call.refunded_credits} />}>
        {isRunning ? '–' : <Amount credits={call.credits} />}
      </Figure>
      <div className="card">
        <Text size="sm" c="dimmed">
          Charge against hold
        </Text>
        <Bar
          label="Charged of what was held"
          used={nanoOfCredits(call.credits ?? '0')}
          limit={nanoOfCredits(call.held_credits)}
        />
        <Text size="xs" c="dimmed" mt={4}>
          {isRunning ? 'Held while it runs.' : 'What was held and not needed was given back.'}
        </Text>
      </div>
      <Figure
        label="State"
        note={call.provenance === null ? undefined : `${KNOWN[call.provenance] ?? call.provenance}`}
      >
        <StateBadge state={isRunning ? call.status : (call.outcome ?? call.status)} />{' '}
        {call.provenance !== null && <StateBadge state={call.provenance} />}
      </Figure>
      <Figure label="Tokens">
        {call.input_tokens === null
          ? '–'
          : `${showCount(call.input_tokens)} in, ${showCount(call.output_tokens ?? 0)} out`}
      </Figure>
    </div>
  )
}

function Refunded({ credits }: { credits: string }) {
  return (
    <>
      <Amount credits={credits} /> of it refunded
    </>
  )
}
