/** Who is signed in, where; what can be done about it opens from here. */
import { ActionIcon, Avatar, Group, Text, UnstyledButton } from '@mantine/core'
import { lazy, Suspense, useState } from 'react'
import { useMe } from '../api/me.ts'

const AccountDropdown = lazy(() =>
  import('./account-dropdown.tsx').then((module) => ({ default: module.AccountDropdown })),
)

export function AccountMenu({ isSmall = false }: { isSmall?: boolean }) {
  const me = useMe()
  const [wasOpened, open] = useState(false)
  const name = me.email ?? me.user_id
  const letters = name.slice(0, 2).toUpperCase()
  const shown = { 'aria-haspopup': 'menu', onClick: () => open(true) } as const
  const button = isSmall ? (
    <ActionIcon variant="default" size="lg" radius="xl" aria-label={`${letters}: account of ${name}`} {...shown}>
      <Text size="xs" fw={600}>
        {letters}
      </Text>
    </ActionIcon>
  ) : (
    <UnstyledButton p="xs" {...shown}>
      <Group gap="sm" wrap="nowrap">
        <Avatar size="sm" radius="xl" aria-hidden>
          {letters}
        </Avatar>
        <div className="clipped">
          <Text size="sm" fw={550} truncate>
            {name}
          </Text>
          <Text size="xs" c="dimmed" truncate>
            {me.organization.name}
          </Text>
        </div>
      </Group>
    </UnstyledButton>
  )
  if (!wasOpened) return button
  return (
    <Suspense fallback={button}>
      <AccountDropdown target={button} />
    </Suspense>
  )
}
