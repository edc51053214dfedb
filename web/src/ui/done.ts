/** Says in a corner that something was done. Loaded with the screens that do something, not with the first view. */
import { notifications } from '@mantine/notifications'

export function done(message: string): void {
  notifications.show({
    message,
    color: 'teal',
    withBorder: true,
    closeButtonProps: { 'aria-label': 'Close the message' },
  })
}
