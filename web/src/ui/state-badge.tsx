/** A state in a word and a colour; the word alone says it. */
import { Badge } from '@mantine/core'

const COLOURS: Readonly<Record<string, string>> = {
  active: 'teal',
  settled: 'teal',
  answered: 'teal',
  healthy: 'teal',
  valid: 'teal',
  running: 'blue',
  released: 'gray',
  expired: 'gray',
  revoked: 'gray',
  stopped: 'gray',
  recovered: 'orange',
  estimated: 'orange',
  disputed: 'orange',
  client_disconnected: 'orange',
  cut_off: 'orange',
  cooling: 'orange',
  failed: 'red',
  blocked: 'red',
  suspended: 'red',
}

export function StateBadge({ state }: { state: string }) {
  return (
    <Badge color={COLOURS[state] ?? 'gray'} variant="dot" tt="none" fw={550} miw="max-content">
      {state.replaceAll('_', ' ')}
    </Badge>
  )
}
