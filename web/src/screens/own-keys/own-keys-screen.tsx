/** Keys of providers that the caller brings: calls that they pay for are not charged here. */
import { Button, SegmentedControl } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useMe } from '../../api/me.ts'
import { type KeyScope, providerKeysQuery, useProviderKeyChanges } from '../../api/provider-keys.ts'
import { Card } from '../../ui/card.tsx'
import { Confirm } from '../../ui/confirm.tsx'
import { done } from '../../ui/done.ts'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { OwnKeyTable } from './own-key-table.tsx'
import { StoreKey } from './store-key.tsx'

export function OwnKeysScreen() {
  const { permissions } = useMe()
  const [scope, setScope] = useState<KeyScope>('user')
  const [isAdding, add] = useState(false)
  const [leaving, remove] = useState<string | null>(null)
  const keys = useQuery(providerKeysQuery(scope))
  const changes = useProviderKeyChanges(scope)
  return (
    <Page
      title="Provider keys"
      description="Keys of your own at a provider. Where your plan lets them pay, calls go out with them and are not charged here. They are stored sealed and never shown again."
      actions={
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => add(true)}>
          Store a key
        </Button>
      }
    >
      {permissions.includes('byok:organization') && (
        <SegmentedControl
          aria-label="Whose keys"
          data={[
            { value: 'user', label: 'Mine' },
            { value: 'organization', label: "My organization's" },
          ]}
          value={scope}
          onChange={(value) => setScope(value as KeyScope)}
        />
      )}
      <Card title={scope === 'user' ? 'Your keys' : "Your organization's keys"}>
        <Loaded query={keys}>
          {({ providers }) =>
            providers.length === 0 ? (
              <Empty title="No provider key is stored">
                Store one to have calls billed by the provider itself. Without one, calls are paid with credits.
              </Empty>
            ) : (
              <OwnKeyTable keys={providers} changes={changes} remove={remove} />
            )
          }
        </Loaded>
      </Card>
      <StoreKey isOpen={isAdding} close={() => add(false)} action={changes.save} />
      <Confirm
        title={`Delete the key for ${leaving}?`}
        of={leaving}
        close={() => remove(null)}
        action={changes.remove}
        done={() => done('The key is deleted.')}
        verb="Delete the key"
      >
        Calls are paid with credits from then on, or refused where the plan takes own keys only. The key at the provider
        stays as it is.
      </Confirm>
    </Page>
  )
}
