import { Anchor, Group, Stack, Text } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { ApiError } from '../../api/api-error.ts'
import type { Quote, Said } from '../../api/playground.ts'
import { Amount } from '../../ui/amount.tsx'
import { StateBadge } from '../../ui/state-badge.tsx'

const BASIS = { history: 'as your newest calls of this model', estimate: 'with an answer of usual length' } as const

export function QuoteLine({ query, isAsked }: { query: UseQueryResult<Quote>; isAsked: boolean }) {
  if (!isAsked) return <Text size="sm">Write a message to see what it will cost.</Text>
  if (query.isError)
    return (
      <Text size="sm" c="red" role="alert">
        {query.error instanceof ApiError ? query.error.message : String(query.error)}
      </Text>
    )
  if (query.data === undefined) return <Text size="sm">Asking for the price…</Text>
  const { expected_credits, max_credits, expected, price } = query.data
  return (
    <Text size="sm" aria-live="polite" data-quote title={price.reference}>
      Probably <Amount credits={expected_credits} /> ({BASIS[expected.basis]}), at most <Amount credits={max_credits} />
    </Text>
  )
}

export function SaidCard({ said }: { said: Said }) {
  return (
    <Stack gap="xs" aria-live="polite" data-said>
      <pre className="snippet">{said.text === '' ? '(no text)' : said.text}</pre>
      <Group gap="md">
        <Text size="sm" fw={600}>
          Charged <Amount credits={said.credits} />
        </Text>
        {said.usage !== null && (
          <Text size="sm" c="dimmed">
            {said.usage.prompt_tokens ?? 0} tokens in, {said.usage.completion_tokens ?? 0} out
          </Text>
        )}
        {said.provenance !== null && <StateBadge state={said.provenance} />}
        {said.callId !== null && (
          <Anchor
            size="sm"
            renderRoot={(props) => <Link to="/app/calls/$callId" params={{ callId: said.callId ?? '' }} {...props} />}
          >
            The call, in full
          </Anchor>
        )}
      </Group>
    </Stack>
  )
}
