import { Alert, Button, Group, Modal, Stack } from '@mantine/core'
import { IconInfoCircle } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { Snippet } from '../../ui/snippet.tsx'

/** The one time that a key is shown. It closes by its buttons only: a click beside it would lose the key. */
export function MadeKey({ made, close }: { made: { key: string; name: string } | null; close: () => void }) {
  return (
    <Modal
      opened={made !== null}
      onClose={close}
      title={made?.name ?? ''}
      size="lg"
      closeOnClickOutside={false}
      closeOnEscape={false}
      withCloseButton={false}
    >
      <Stack gap="md">
        <Alert variant="outline" icon={<IconInfoCircle aria-hidden />} title="Copy it now">
          It is not shown again. Whoever has it can spend what it may spend.
        </Alert>
        <Snippet text={made?.key ?? ''} label="the key" />
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            I have it
          </Button>
          <Button renderRoot={(props) => <Link to="/" {...props} />}>Show a first call with it</Button>
        </Group>
      </Stack>
    </Modal>
  )
}
