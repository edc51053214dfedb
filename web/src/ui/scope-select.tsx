import { Select } from '@mantine/core'
import { useMe } from '../api/me.ts'
import type { Scope } from '../api/scope.ts'

interface Props {
  value: Scope
  /** The permission to see what is the whole organization's. */
  permission: string
  onChange: (scope: Scope) => void
}

/** Whose figures a screen shows; nothing where one may see one's own only. */
export function ScopeSelect({ value, permission, onChange }: Props) {
  const { permissions } = useMe()
  const scopes = [
    { value: 'user', label: 'Mine' },
    ...(permissions.includes(permission) ? [{ value: 'organization', label: 'My organization' }] : []),
    ...(permissions.includes('billing:system') ? [{ value: 'system', label: 'Everybody' }] : []),
  ]
  if (scopes.length === 1) return null
  return (
    <Select
      label="Whose"
      data={scopes}
      value={value}
      allowDeselect={false}
      onChange={(scope) => onChange((scope ?? 'user') as Scope)}
      w={170}
    />
  )
}
