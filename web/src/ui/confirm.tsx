/** Asks before something that can't be taken back, says what will happen, and shows what the API said where it refused. */
import { Button, Group, Modal, Stack, Text } from '@mantine/core'
import type { UseMutationResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Failure } from './failure.tsx'

interface Props<Input, Output> {
  title: string
  /** Null: closed. */
  of: Input | null
  close: () => void
  action: UseMutationResult<Output, Error, Input>
  /** Called when it worked. */
  done?: (result: Output) => void
  verb: string
  children: ReactNode
}

export function Confirm<Input, Output>({ title, of, close, action, done, verb, children }: Props<Input, Output>) {
  const leave = () => {
    action.reset()
    close()
  }
  return (
    <Modal opened={of !== null} onClose={leave} title={title} closeButtonProps={{ 'aria-label': 'Close' }}>
      <Stack gap="md">
        <Text size="sm" component="div">
          {children}
        </Text>
        {action.isError && <Failure error={action.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={leave}>
            Cancel
          </Button>
          <Button
            color="red"
            loading={action.isPending}
            onClick={() =>
              of !== null &&
              action.mutate(of, {
                onSuccess(result) {
                  leave()
                  done?.(result)
                },
              })
            }
          >
            {verb}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
