import { Button, Group, Text } from '@mantine/core'
import type { ApiKey } from '../../api/keys.ts'
import { nanoOfCredits, showCount } from '../../money/amounts.ts'
import { Amount } from '../../ui/amount.tsx'
import { Bar } from '../../ui/bar.tsx'
import { Rows } from '../../ui/rows.tsx'
import { StateBadge } from '../../ui/state-badge.tsx'
import { When } from '../../ui/when.tsx'

interface Props {
  keys: readonly ApiKey[]
  rotate: (key: ApiKey) => void
  revoke: (key: ApiKey) => void
}

export function KeyTable({ keys, rotate, revoke }: Props) {
  return (
    <Rows
      label="Keys"
      rows={keys}
      keyOf={({ id }) => id}
      columns={[
        { label: 'Name', cell: (key) => <NameOf of={key} /> },
        { label: 'State', cell: ({ state }) => <StateBadge state={state} /> },
        { label: 'Spent', cell: (key) => <Spent of={key} /> },
        { label: 'Allowed', cell: (key) => <Allowed of={key} /> },
        { label: 'Last used', cell: ({ last_used_on: day }) => <LastUsed on={day} /> },
        { label: 'Expires', cell: ({ expires_at: at }) => <When at={at} /> },
        {
          label: 'Actions',
          end: true,
          cell: (key) =>
            key.state === 'active' && (
              <Group gap={6} justify="flex-end">
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Make anew: ${key.name}`}
                  onClick={() => rotate(key)}
                >
                  Make anew
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Revoke ${key.name}`}
                  onClick={() => revoke(key)}
                >
                  Revoke
                </Button>
              </Group>
            ),
        },
      ]}
    />
  )
}

/** The books know the day. */
function LastUsed({ on }: { on: string | null }) {
  if (on === null) return <span>never</span>
  return <span className="number">{on === new Date().toISOString().slice(0, 10) ? 'today' : on}</span>
}

function NameOf({ of: { name, preview } }: { of: ApiKey }) {
  return (
    <div>
      <Text size="sm" fw={550}>
        {name}
      </Text>
      <Text size="xs" c="dimmed" className="mono nowrap">
        {preview}
      </Text>
    </div>
  )
}

function Spent({ of: { name, budget, spent } }: { of: ApiKey }) {
  if (budget === null) return <Amount credits={spent} />
  return <Bar label={`Budget of ${name}`} used={nanoOfCredits(budget.used)} limit={nanoOfCredits(budget.limit)} />
}

function Allowed({ of: { models, requests_per_minute: rpm, tokens_per_minute: tpm } }: { of: ApiKey }) {
  const limits = [
    models === null ? 'every model' : models.join(', '),
    ...(rpm === null ? [] : [`${showCount(rpm)} calls a minute`]),
    ...(tpm === null ? [] : [`${showCount(tpm)} tokens a minute`]),
  ]
  return <Text size="sm">{limits.join('; ')}</Text>
}
