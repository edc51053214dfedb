/** Calls, a row each: what a list of them shows wherever one stands. */
import { Anchor, Text } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { CallRow } from '../api/calls.ts'
import { showCount } from '../money/amounts.ts'
import { Amount } from './amount.tsx'
import { Named } from './named.tsx'
import { type Column, Rows } from './rows.tsx'
import { StateBadge } from './state-badge.tsx'
import { When } from './when.tsx'

interface Props {
  calls: readonly CallRow[]
  /** Whose calls they are: stands where there are several people. */
  withUser?: boolean
}

export function CallTable({ calls, withUser = false }: Props) {
  const columns: Column<CallRow>[] = [
    {
      label: 'Call',
      cell: (call) => (
        <Anchor
          size="sm"
          renderRoot={(props) => (
            <Link
              to="/app/calls/$callId"
              params={{ callId: call.call_id }}
              title={call.call_id}
              aria-label={`${call.model ?? 'Call'}, ${call.call_id}`}
              {...props}
            />
          )}
        >
          {call.model ?? call.call_id.slice(0, 8)}
        </Anchor>
      ),
    },
    { label: 'State', cell: (call) => <StateBadge state={stateOf(call)} /> },
    { label: 'Key', cell: ({ key }) => <Named name={key?.name} id={key?.id} /> },
    ...(withUser ? [{ label: 'User', cell: ({ user }: CallRow) => <Named name={user.name} id={user.id} /> }] : []),
    { label: 'Tokens', end: true, cell: (call) => <Tokens of={call} /> },
    { label: 'Charged', end: true, cell: (call) => <Charged of={call} /> },
    { label: 'When', end: true, cell: ({ started_at: at }) => <When at={at} /> },
  ]
  return <Rows label="Calls" rows={calls} columns={columns} keyOf={({ call_id: id }) => id} />
}

/** How it ended says more than that it was settled. */
function stateOf({ status, outcome }: CallRow): string {
  return status === 'settled' ? (outcome ?? status) : status
}

function Tokens({ of: { input_tokens: input, output_tokens: output } }: { of: CallRow }) {
  if (input === null || output === null) return <span>–</span>
  return (
    <span className="number">
      {showCount(input)} in, {showCount(output)} out
    </span>
  )
}

function Charged({ of: { status, credits, held_credits: held } }: { of: CallRow }) {
  if (status !== 'running') return <Amount credits={credits} />
  return (
    <Text size="sm" c="dimmed" span>
      <Amount credits={held} /> held
    </Text>
  )
}
