import type { ErrorComponentProps } from '@tanstack/react-router'
import { Failure } from '../ui/failure.tsx'

/** Nothing can be shown without knowing who asks. */
export function ShellFailure({ error, reset }: ErrorComponentProps) {
  return (
    <main className="frame-main">
      <Failure error={error} retry={reset} />
    </main>
  )
}
