import { Button, Modal, PasswordInput, Select, Stack } from '@mantine/core'
import { useForm } from '@mantine/form'
import { useQuery } from '@tanstack/react-query'
import { keyProvidersQuery, type useProviderKeyChanges } from '../../api/provider-keys.ts'
import { done } from '../../ui/done.ts'
import { Failure } from '../../ui/failure.tsx'

interface Props {
  isOpen: boolean
  close: () => void
  action: ReturnType<typeof useProviderKeyChanges>['save']
}

export function StoreKey({ isOpen, close, action }: Props) {
  const providers = useQuery(keyProvidersQuery).data?.providers ?? []
  const form = useForm({
    initialValues: { provider: 'openai', api_key: '' },
    validate: { api_key: (key) => (key.trim() === '' ? 'Paste the key.' : null) },
  })
  const leave = () => {
    form.reset()
    action.reset()
    close()
  }
  const onSuccess = () => {
    leave()
    done('The key is stored. Test it to see that the provider accepts it.')
  }
  return (
    <Modal opened={isOpen} onClose={leave} title="Store a provider key" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form
        onSubmit={form.onSubmit(({ provider, api_key: key }) =>
          action.mutate({ provider, api_key: key.trim() }, { onSuccess }),
        )}
      >
        <Stack gap="md">
          <Select
            label="Provider"
            data={providers.map(({ id, name }) => ({ value: id, label: name }))}
            allowDeselect={false}
            {...form.getInputProps('provider')}
          />
          <PasswordInput
            label="Key"
            placeholder={providers.find(({ id }) => id === form.values.provider)?.key_format}
            autoComplete="off"
            visibilityToggleButtonProps={{ 'aria-label': 'Show the key' }}
            {...form.getInputProps('api_key')}
          />
          {action.isError && <Failure error={action.error} />}
          <Button type="submit" loading={action.isPending}>
            Store it
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}
