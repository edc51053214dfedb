import { Button, Group, NumberInput, Select, Stack, Textarea } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { type Prompt, quote, say } from '../../api/playground.ts'
import { Card } from '../../ui/card.tsx'
import { Failure } from '../../ui/failure.tsx'
import { QuoteLine, SaidCard } from './playground-answer.tsx'

/** A quote for each letter would ask the server more than a call does. */
const TYPING_MS = 500

export function Playground({ models, first }: { models: readonly string[]; first: string }) {
  const [prompt, setPrompt] = useState<Prompt>({ model: first, text: '', maxTokens: null })
  const [asked] = useDebouncedValue(prompt, TYPING_MS)
  const change = (part: Partial<Prompt>) => setPrompt((before) => ({ ...before, ...part }))
  const quoted = useQuery({
    queryKey: ['configuration', 'quote', asked],
    queryFn: ({ signal }) => quote(asked, signal),
    enabled: asked.text.trim() !== '',
    retry: false,
  })
  const call = useMutation({ mutationFn: () => say(prompt, asked === prompt ? (quoted.data?.quote_id ?? null) : null) })
  const isReady = prompt.text.trim() !== ''
  return (
    <Card title="Playground" note="A real call, charged like any other. The price stands here before you send it.">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (isReady) call.mutate()
        }}
      >
        <Stack gap="sm">
          <Group gap="sm" align="flex-end">
            <Select
              label="Model"
              data={models}
              value={prompt.model}
              onChange={(model) => model !== null && change({ model })}
              searchable
              allowDeselect={false}
              w={260}
            />
            <NumberInput
              label="Output tokens at most"
              placeholder="the model's limit"
              min={1}
              allowDecimal={false}
              value={prompt.maxTokens ?? ''}
              onChange={(value) => change({ maxTokens: typeof value === 'number' ? value : null })}
              w={190}
            />
          </Group>
          <Textarea
            label="Message"
            autosize
            minRows={3}
            maxRows={12}
            value={prompt.text}
            onChange={({ currentTarget }) => change({ text: currentTarget.value })}
          />
          <Group justify="space-between" align="center" gap="sm">
            <QuoteLine query={quoted} isAsked={isReady} />
            <Button type="submit" loading={call.isPending} disabled={!isReady}>
              Send
            </Button>
          </Group>
          {call.isError && <Failure error={call.error} />}
          {call.data !== undefined && <SaidCard said={call.data} />}
        </Stack>
      </form>
    </Card>
  )
}
