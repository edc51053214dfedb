/** What the API said when it refused, in its words, with the id that its log knows. */
import { Alert, Button, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { ApiError } from '../api/api-error.ts'

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const said = error instanceof ApiError ? error : null
  return (
    <Alert
      color="red"
      variant="outline"
      icon={<IconAlertTriangle aria-hidden />}
      title="That did not work"
      role="alert"
    >
      <Text size="sm">{error instanceof Error ? error.message : String(error)}</Text>
      {said !== null && said.requestId !== null && (
        <Text size="xs" c="dimmed" mt={4}>
          {said.code} · request <span className="mono">{said.requestId}</span>
        </Text>
      )}
      {retry !== undefined && (
        <Button size="xs" variant="default" mt="sm" onClick={retry}>
          Try again
        </Button>
      )}
    </Alert>
  )
}
