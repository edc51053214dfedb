/** Why a call of a run was refused for good: its budget is used up, or it was closed. No client tries a 402 again. */
import { TollgateError } from '../http/errors.ts'
import type { LimitedBy } from './hold-batch.ts'
import { RUN, RUN_CALLS } from './runs.ts'

export function isRun({ kind }: LimitedBy): boolean {
  return kind === RUN || kind === RUN_CALLS
}

export function runExhausted(limit: LimitedBy, required: string, available: string): TollgateError {
  const { id, unit, amount, left } = limit
  const headers = { 'x-should-retry': 'false' }
  if (unit === 'calls' && amount === 0) {
    const message = 'This run is closed, or one it was opened within. Open another one: POST /v1/runs.'
    return new TollgateError(402, 'run_closed', message, { headers, fields: { limit: 'run', limit_id: id } })
  }
  const needs = unit === 'calls' ? 'one call' : `${required} credits`
  return new TollgateError(
    402,
    'run_exhausted',
    `The budget of this run is used up: this call needs at least ${needs}, and of ${amount} ${unit} ${left} are left. ` +
      'Open another run, or make this call outside of it.',
    {
      headers,
      fields: { required, available, limit: 'run', limit_id: id, limit_unit: unit, limit_amount: amount },
    },
  )
}
