/** Text to copy: a command, a key, an id. */
import { Button, CopyButton, Group } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'

export function Snippet({ text, label }: { text: string; label: string }) {
  return (
    <div>
      <pre className="snippet" data-snippet={label}>
        {text}
      </pre>
      <Group justify="flex-end" mt={6}>
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <Button
              size="xs"
              variant="default"
              onClick={copy}
              aria-label={copied ? `${label}: copied` : `Copy ${label}`}
              leftSection={copied ? <IconCheck size={14} aria-hidden /> : <IconCopy size={14} aria-hidden />}
            >
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
      </Group>
    </div>
  )
}
