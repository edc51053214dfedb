/** A moment: how long ago in words, the exact time for whoever points at it. */
import dayjs from 'dayjs'
import relativeTime from 'dayjs/plugin/relativeTime.js'
import { useEffect, useState } from 'react'

dayjs.extend(relativeTime)

export function When({ at, missing = 'never' }: { at: string | null | undefined; missing?: string }) {
  const [, again] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => again((count) => count + 1), 30_000)
    return () => clearInterval(timer)
  }, [])
  if (at == null) return <span>{missing}</span>
  return (
    <time className="number" dateTime={at} title={dayjs(at).format('YYYY-MM-DD HH:mm:ss Z')}>
      {dayjs(at).fromNow()}
    </time>
  )
}
