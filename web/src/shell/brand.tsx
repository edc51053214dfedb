import { Group, Text } from '@mantine/core'

export function Brand() {
  return (
    <Group gap={8} px="sm" py={6} wrap="nowrap">
      <svg width="22" height="22" viewBox="0 0 16 16" aria-hidden="true">
        <rect width="16" height="16" rx="3.5" fill="var(--mantine-primary-color-filled)" />
        <path d="M3.5 5h9M8 5v7.5" stroke="#fff" strokeWidth="2" strokeLinecap="round" />
      </svg>
      <Text fw={700} span>
        Tollgate
      </Text>
    </Group>
  )
}
