/** A part of a screen, with a heading of its own. */
import { Group, Text, Title } from '@mantine/core'
import { type ReactNode, useId } from 'react'

interface Props {
  title: string
  note?: ReactNode
  aside?: ReactNode
  children: ReactNode
}

export function Card({ title, note, aside, children }: Props) {
  const id = useId()
  return (
    <section className="card" aria-labelledby={id}>
      <Group justify="space-between" align="flex-start" mb="sm" gap="xs">
        <div>
          <Title order={2} size="h5" id={id}>
            {title}
          </Title>
          {note !== undefined && (
            <Text size="sm" c="dimmed">
              {note}
            </Text>
          )}
        </div>
        {aside}
      </Group>
      {children}
    </section>
  )
}
