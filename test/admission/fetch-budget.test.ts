/** What is fetched for calls at once, and how much of it may be in memory. */
import { describe, expect, test } from 'vitest'
import { createFetchBudget, type Fetching } from '../../src/admission/fetch-budget.ts'
import type { TollgateError } from '../../src/http/errors.ts'

function refusal(work: () => unknown): Partial<TollgateError> | null {
  try {
    work()
    return null
  } catch (error) {
    const { status, limit } = error as TollgateError
    return { status, limit }
  }
}

describe('what is fetched for calls', () => {
  test('Only so many calls fetch media at once, and one organization has no more of them than it leaves free.', () => {
    const budget = createFetchBudget({ fetches: 3, bytes: 100 })
    const first = budget.open('acme')
    budget.open('acme')
    expect(refusal(() => budget.open('acme'))).toEqual({ status: 429, limit: 'organization_fetches' })
    budget.open('zeta')
    expect(refusal(() => budget.open('hooli'))).toEqual({ status: 503, limit: 'fetches' })
    first.done()
    first.done()
    expect(refusal(() => budget.open('hooli'))).toBeNull()
    expect(refusal(() => budget.open('globex'))).toEqual({ status: 503, limit: 'fetches' })
  })

  test('The media that are fetched for a call stay counted until the call is over.', () => {
    const budget = createFetchBudget({ fetches: 100, bytes: 100 })
    const first = budget.open('acme')
    const second = budget.open('acme')
    first.take(30)
    second.take(20)
    expect(refusal(() => second.take(1))).toEqual({ status: 429, limit: 'organization_fetched_bytes' })
    const zeta = budget.open('zeta')
    zeta.take(25)
    expect(refusal(() => zeta.take(1))).toEqual({ status: 429, limit: 'organization_fetched_bytes' })
    expect(refusal(() => zeta.take(26))).toEqual({ status: 503, limit: 'fetched_bytes' })
    first.done()
    expect(refusal(() => second.take(1))).toMatchObject({ status: 429 })
    first.release()
    second.take(5)
    const all: Fetching[] = [second, zeta]
    for (const fetching of all) fetching.release()
    budget.open('acme').take(50)
  })
})
