import type { UsageGroup } from '../../api/usage.ts'
import { Named } from '../../ui/named.tsx'
import type { GroupBy } from './usage-search.ts'

const NONE: Readonly<Record<GroupBy, string>> = {
  day: '–',
  model: 'without a model',
  key: 'without a key',
  user: 'without a user',
}

export function GroupName({ by, one }: { by: GroupBy; one: UsageGroup }) {
  const id = one.group[by] ?? ''
  if (id === '') return <span>{NONE[by]}</span>
  if (by === 'day') return <span className="number">{id}</span>
  if (by === 'model') return <span className="mono">{id}</span>
  return <Named id={id} name={nameIn(one, by)} />
}

function nameIn(one: UsageGroup & { names?: Record<string, string> }, by: GroupBy): string | undefined {
  return one.names?.[by]
}
