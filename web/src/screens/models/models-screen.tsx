/** What the caller can call and what it costs the caller; a playground that shows the price before and the charge after. */
import { Button, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconPlayerPlay, IconSearch } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { type Model, modelsQuery } from '../../api/models.ts'
import { Card } from '../../ui/card.tsx'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { ModelTable } from './model-table.tsx'
import { Playground } from './playground.tsx'

export function ModelsScreen() {
  const models = useQuery(modelsQuery)
  const { model } = useSearch({ from: '/shell/app/models' })
  const navigate = useNavigate({ from: '/app/models' })
  const open = (id: string) => void navigate({ search: { model: id } })
  return (
    <Page
      title="Models"
      description="What you can call, at what it costs you: the markup is in the prices, at the power level balanced."
    >
      <Loaded query={models} height={24}>
        {({ data }) =>
          data.length === 0 ? (
            <Card title="No models yet">
              <Empty title="No model can be called">
                The operator has configured none, or your key or plan allows none. The operator sets a provider's key
                (such as OPENAI_API_KEY) and starts the server again.
              </Empty>
            </Card>
          ) : (
            <>
              <Playground key={model} models={data.map(({ id }) => id)} first={model ?? data[0]?.id ?? ''} />
              <ModelList models={data} open={open} />
            </>
          )
        }
      </Loaded>
    </Page>
  )
}

function ModelList({ models, open }: { models: readonly Model[]; open: (id: string) => void }) {
  const [typed, type] = useState('')
  const [words] = useDebouncedValue(typed.trim().toLowerCase(), 150)
  const found = models.filter(({ id, provider }) => `${id} ${provider}`.toLowerCase().includes(words))
  return (
    <Card
      title={`${found.length} ${found.length === 1 ? 'model' : 'models'}`}
      aside={
        <TextInput
          aria-label="Find a model"
          placeholder="Find a model"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={typed}
          onChange={({ currentTarget }) => type(currentTarget.value)}
        />
      }
    >
      {found.length === 0 ? (
        <Empty title="No model has these letters">Try fewer of them, or the name of a provider.</Empty>
      ) : (
        <ModelTable
          models={found}
          action={({ id }) => (
            <Button
              size="compact-xs"
              variant="default"
              leftSection={<IconPlayerPlay size={12} aria-hidden />}
              onClick={() => open(id)}
              aria-label={`Try ${id}`}
            >
              Try
            </Button>
          )}
        />
      )}
    </Card>
  )
}
