/** Nothing is here yet: says so, and what to do about it. */
import { Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'

export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack gap="xs" align="center" py="xl" px="md">
      <Text fw={600}>{title}</Text>
      <Text size="sm" c="dimmed" ta="center" maw="34rem" component="div">
        {children}
      </Text>
    </Stack>
  )
}
