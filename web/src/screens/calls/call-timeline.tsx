import { Text, Timeline } from '@mantine/core'
import dayjs from 'dayjs'
import type { Call } from '../../api/calls.ts'

/** The order is the server's: two events of one millisecond keep it. */
export function CallTimeline({ events }: { events: Call['timeline'] }) {
  const first = events[0]?.at
  return (
    <Timeline bulletSize={14} lineWidth={2} active={events.length}>
      {events.map(({ at, what, detail }) => (
        <Timeline.Item key={`${at} ${what}`} title={what}>
          <Text size="xs" c="dimmed">
            <time dateTime={at} className="number">
              {dayjs(at).format('HH:mm:ss.SSS')}
            </time>
            {first !== undefined && at !== first && ` · after ${dayjs(at).diff(dayjs(first))} ms`}
          </Text>
          {detail !== null && <Text size="sm">{detail}</Text>}
        </Timeline.Item>
      ))}
    </Timeline>
  )
}
