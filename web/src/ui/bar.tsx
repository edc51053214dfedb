/** How much of a limit is used: a bar, and the figures in words beside it. */
import { Progress, Text } from '@mantine/core'
import { percentOf, showNano } from '../money/amounts.ts'

const NEARLY = 80

interface Props {
  label: string
  used: bigint
  limit: bigint
  /** How an amount is written; dollars by default. */
  show?: (amount: bigint) => string
}

export function Bar({ label, used, limit, show = showNano }: Props) {
  const percent = percentOf(used, limit)
  const words = `${show(used)} of ${show(limit)}`
  return (
    <div className="bar">
      <Text size="xs" c="dimmed" className="number">
        {words}
      </Text>
      <Progress.Root size="sm" mt={3}>
        <Progress.Section
          value={percent}
          color={percent >= 100 ? 'red' : percent >= NEARLY ? 'orange' : 'indigo'}
          aria-label={`${label}: ${words}`}
        />
      </Progress.Root>
    </div>
  )
}
