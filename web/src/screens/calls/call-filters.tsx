import { Group, Select, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { modelsQuery } from '../../api/models.ts'
import { ScopeSelect } from '../../ui/scope-select.tsx'
import { type CallSearch, STATES } from './call-search.ts'

const TYPING_MS = 250

interface Props {
  search: CallSearch
  change: (part: CallSearch) => void
}

export function CallFilters({ search, change }: Props) {
  const models = useQuery(modelsQuery).data?.data ?? []
  const [typed, type] = useState(search.q ?? '')
  const find = useDebouncedCallback((q: string) => change({ q: q.trim() }), TYPING_MS)
  return (
    <Group gap="sm" align="flex-end">
      <TextInput
        label="Call or request id"
        placeholder="8 digits of a call’s, or a whole one"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={typed}
        onChange={({ currentTarget }) => {
          type(currentTarget.value)
          find(currentTarget.value)
        }}
        w={260}
      />
      <Select
        label="State"
        placeholder="any"
        data={STATES.map((state) => ({ value: state, label: state.replaceAll('_', ' ') }))}
        value={search.state ?? null}
        onChange={(state) => change({ state: state ?? '' })}
        clearable
        w={180}
      />
      <Select
        label="Model"
        placeholder="any"
        data={models.map(({ id }) => id)}
        value={search.model ?? null}
        onChange={(model) => change({ model: model ?? '' })}
        searchable
        clearable
        w={200}
      />
      <ScopeSelect
        value={search.scope ?? 'user'}
        permission="calls:read_organization"
        onChange={(scope) => change({ scope })}
      />
    </Group>
  )
}
