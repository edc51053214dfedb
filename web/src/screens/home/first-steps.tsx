/** A first call, ready to paste: with a key that was just made, or with a place for one. */
import { Button, Group, NativeSelect, Tabs, Text } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useNewKey } from '../../api/new-key.ts'
import { Card } from '../../ui/card.tsx'
import { Snippet } from '../../ui/snippet.tsx'
import { snippetsFor } from './snippets.ts'

const NO_KEY = 'YOUR_KEY'

export function FirstSteps({ models }: { models: readonly string[] }) {
  const key = useNewKey()
  const [chosen, choose] = useState<string | null>(null)
  const model = chosen ?? models[0] ?? 'gpt-4o-mini'
  const snippets = snippetsFor(window.location.origin, key ?? NO_KEY, model)
  return (
    <Card
      title="Make a call"
      note={
        key === null
          ? 'Change the base URL and the key of any OpenAI client; nothing else. A key is shown once, when it is made.'
          : 'With the key you just made. This page forgets it when it is closed.'
      }
      aside={
        <Group gap="xs">
          {models.length > 1 && (
            <NativeSelect
              size="xs"
              w={190}
              aria-label="Model of the samples"
              data={[...models]}
              value={model}
              onChange={({ currentTarget }) => choose(currentTarget.value)}
            />
          )}
          {key === null && (
            <Button
              size="xs"
              leftSection={<IconPlus size={14} aria-hidden />}
              renderRoot={(props) => <Link to="/app/keys" search={{ make: true }} {...props} />}
            >
              Make a key
            </Button>
          )}
        </Group>
      }
    >
      <Tabs defaultValue="curl" keepMounted={false}>
        <Tabs.List>
          {snippets.map(({ client }) => (
            <Tabs.Tab key={client} value={client}>
              {client}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {snippets.map(({ client, text }) => (
          <Tabs.Panel key={client} value={client} pt="sm">
            <Snippet text={text} label={`the sample for ${client}`} />
          </Tabs.Panel>
        ))}
      </Tabs>
      <Text size="xs" c="dimmed" mt="xs">
        The headers of each answer say what it cost; the call appears below as soon as it starts.
      </Text>
    </Card>
  )
}
