/** One number that matters, with its name and what it means. */
import { Text } from '@mantine/core'
import type { ReactNode } from 'react'

export function Figure({ label, note, children }: { label: string; note?: ReactNode; children: ReactNode }) {
  return (
    <div className="card">
      <Text size="sm" c="dimmed">
        {label}
      </Text>
      <div className="figure">{children}</div>
      {note !== undefined && (
        <Text size="xs" c="dimmed" component="div" mt={2}>
          {note}
        </Text>
      )}
    </div>
  )
}
