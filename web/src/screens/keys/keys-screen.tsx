/** The caller's API keys: made with a budget, limits and models, shown once, made anew, revoked. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { type ApiKey, keysQuery, useKeyChanges } from '../../api/keys.ts'
import { useRememberNewKey } from '../../api/new-key.ts'
import { Card } from '../../ui/card.tsx'
import { Confirm } from '../../ui/confirm.tsx'
import { done } from '../../ui/done.ts'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { KeyForm } from './key-form.tsx'
import { KeyTable } from './key-table.tsx'
import { MadeKey } from './made-key.tsx'

export function KeysScreen() {
  const { make = false } = useSearch({ from: '/shell/app/keys' })
  const navigate = useNavigate({ from: '/app/keys' })
  const setMaking = (isOn: boolean) => void navigate({ search: isOn ? { make: true } : {}, replace: true })
  const [shown, show] = useState<{ key: string; name: string } | null>(null)
  const [rotating, rotate] = useState<ApiKey | null>(null)
  const [leaving, revoke] = useState<ApiKey | null>(null)
  const keys = useQuery(keysQuery)
  const changes = useKeyChanges()
  const remember = useRememberNewKey()
  const onMade = (made: { key: string; name: string }) => {
    remember(made.key)
    show(made)
  }
  return (
    <Page
      title="Keys"
      description="Applications call models with these. A key is shown once, when it is made."
      actions={
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setMaking(true)}>
          Make a key
        </Button>
      }
    >
      <Card title="Your keys">
        <Loaded query={keys}>
          {({ data }) =>
            data.length === 0 ? (
              <Empty title="You have no keys">
                Make one, then paste the sample of the start page: that is a first call.
              </Empty>
            ) : (
              <KeyTable keys={data} rotate={rotate} revoke={revoke} />
            )
          }
        </Loaded>
      </Card>
      <KeyForm isOpen={make} close={() => setMaking(false)} action={changes.make} onMade={onMade} />
      <MadeKey made={shown} close={() => show(null)} />
      <Confirm
        title={`Make ${rotating?.name} anew?`}
        of={rotating}
        close={() => rotate(null)}
        action={changes.rotate}
        done={(made) => onMade(made)}
        verb="Make it anew"
      >
        It gets a new secret with the same budget, limits and models. The old secret is refused from then on.
      </Confirm>
      <Confirm
        title={`Revoke ${leaving?.name}?`}
        of={leaving}
        close={() => revoke(null)}
        action={changes.revoke}
        done={() => done('The key is revoked. It is refused everywhere within a second.')}
        verb="Revoke the key"
      >
        Applications that use it are refused within a second, for good. What it spent stays in the books.
      </Confirm>
    </Page>
  )
}
