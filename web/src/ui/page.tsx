/** A screen: its title, what can be done on it, what it shows. */
import { Group, Stack, Text, Title } from '@mantine/core'
import { type ReactNode, useEffect } from 'react'

interface Props {
  title: string
  description?: ReactNode
  actions?: ReactNode
  children: ReactNode
}

export function Page({ title, description, actions, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Tollgate`
  }, [title])
  return (
    <Stack gap="lg" className="frame-page">
      <Group justify="space-between" align="flex-start" gap="sm">
        <div>
          <Title order={1} size="h2">
            {title}
          </Title>
          {description !== undefined && (
            <Text c="dimmed" size="sm" mt={4} maw="42rem">
              {description}
            </Text>
          )}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  )
}
