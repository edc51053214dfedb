/** Who is signed in, where; light or dark; signing out. */
import { ActionIcon, Avatar, Group, Menu, Text, UnstyledButton, useMantineColorScheme } from '@mantine/core'
import { IconBook2, IconDeviceDesktop, IconLogout, IconMoon, IconSun } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { signOut, useMe } from '../api/me.ts'

const SCHEMES = [
  { value: 'light', label: 'Light', icon: IconSun },
  { value: 'dark', label: 'Dark', icon: IconMoon },
  { value: 'auto', label: 'As the system', icon: IconDeviceDesktop },
] as const

export function AccountMenu({ isSmall = false }: { isSmall?: boolean }) {
  const me = useMe()
  // Without transitions Mantine would add a style element, which our content security policy refuses.
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const leave = useMutation({ mutationFn: signOut, onSuccess: (to) => window.location.assign(to) })
  const name = me.email ?? me.user_id
  const letters = name.slice(0, 2).toUpperCase()
  return (
    <Menu position="top-end" width={260} withinPortal>
      <Menu.Target>
        {isSmall ? (
          <ActionIcon variant="default" size="lg" radius="xl" aria-label={`${letters}: account of ${name}`}>
            <Text size="xs" fw={600}>
              {letters}
            </Text>
          </ActionIcon>
        ) : (
          <UnstyledButton p="xs">
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
        )}
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Colours</Menu.Label>
        {SCHEMES.map(({ value, label, icon: Icon }) => (
          <Menu.Item
            key={value}
            leftSection={<Icon size={16} aria-hidden />}
            onClick={() => setColorScheme(value)}
            aria-current={colorScheme === value ? 'true' : undefined}
            fw={colorScheme === value ? 650 : undefined}
          >
            {label}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item component="a" href="/docs" leftSection={<IconBook2 size={16} aria-hidden />}>
          All routes of the API
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => leave.mutate()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
