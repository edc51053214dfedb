import { Button, Group, Switch, Text } from '@mantine/core'
import type { ProviderKey, useProviderKeyChanges } from '../../api/provider-keys.ts'
import { done } from '../../ui/done.ts'
import { Failure } from '../../ui/failure.tsx'
import { Rows } from '../../ui/rows.tsx'
import { StateBadge } from '../../ui/state-badge.tsx'
import { When } from '../../ui/when.tsx'

interface Props {
  keys: readonly ProviderKey[]
  changes: ReturnType<typeof useProviderKeyChanges>
  remove: (provider: string) => void
}

export function OwnKeyTable({ keys, changes: { toggle, test }, remove }: Props) {
  const refused = toggle.error ?? test.error
  return (
    <>
      {refused !== null && <Failure error={refused} />}
      <Rows
        label="Provider keys"
        rows={keys}
        keyOf={({ provider }) => provider}
        columns={[
          { label: 'Provider', cell: ({ provider }) => provider },
          { label: 'Key', cell: ({ masked_key: key }) => <span className="mono">{key}</span> },
          {
            label: 'In use',
            cell: ({ provider, enabled }) => (
              <Switch
                aria-label={`Use the key for ${provider}`}
                checked={enabled}
                onChange={() => toggle.mutate({ provider, enabled: !enabled })}
              />
            ),
          },
          { label: 'Tested', cell: (key) => <LastTest of={key} /> },
          { label: 'Stored', cell: ({ updated_at: at }) => <When at={at} /> },
          {
            label: 'Actions',
            end: true,
            cell: ({ provider, enabled }) => (
              <Group gap={6} justify="flex-end">
                <Button
                  size="compact-xs"
                  variant="default"
                  disabled={!enabled}
                  loading={test.isPending && test.variables === provider}
                  aria-label={`Test the key for ${provider}`}
                  onClick={() => test.mutate(provider, { onSuccess: ({ message }) => done(message) })}
                >
                  Test
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Delete the key for ${provider}`}
                  onClick={() => remove(provider)}
                >
                  Delete
                </Button>
              </Group>
            ),
          },
        ]}
      />
    </>
  )
}

function LastTest({ of: { test_status: status, last_tested: at, problem } }: { of: ProviderKey }) {
  if (problem !== null)
    return (
      <Text size="sm" c="red">
        {problem}
      </Text>
    )
  if (status === null) return <span>not yet</span>
  return (
    <Group gap={6} wrap="nowrap">
      <StateBadge state={status} />
      <When at={at} />
    </Group>
  )
}
