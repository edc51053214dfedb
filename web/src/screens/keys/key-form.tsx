import { Button, Group, Modal, MultiSelect, NumberInput, Select, Stack, TextInput } from '@mantine/core'
import { useForm } from '@mantine/form'
import { useQuery } from '@tanstack/react-query'
import type { NewKey, useKeyChanges } from '../../api/keys.ts'
import { modelsQuery } from '../../api/models.ts'
import { Failure } from '../../ui/failure.tsx'

const PERIODS = [
  { value: '', label: 'in all' },
  { value: '1d', label: 'a day' },
  { value: '7d', label: 'a week' },
  { value: '1mo', label: 'a month' },
]
const EXPIRIES = [
  { value: '7', label: 'in a week' },
  { value: '30', label: 'in a month' },
  { value: '90', label: 'in three months' },
  { value: '365', label: 'in a year' },
]
const DOLLARS = /^\d{1,9}(?:\.\d{1,9})?$/

interface Values {
  name: string
  models: string[]
  budget: string
  period: string
  rpm: number | string
  tpm: number | string
  days: string
}
const INITIAL: Values = { name: '', models: [], budget: '', period: '1mo', rpm: '', tpm: '', days: '90' }

interface Props {
  isOpen: boolean
  close: () => void
  action: ReturnType<typeof useKeyChanges>['make']
  onMade: (made: { key: string; name: string }) => void
}

export function KeyForm({ isOpen, close, action, onMade }: Props) {
  const models = useQuery(modelsQuery).data?.data ?? []
  const form = useForm<Values>({
    initialValues: INITIAL,
    validate: {
      name: (name) => (name.trim() === '' ? 'Give it a name: it stands in every list.' : null),
      budget: (budget) => (budget === '' || DOLLARS.test(budget) ? null : 'Dollars, such as 5 or 0.25.'),
    },
  })
  const leave = () => {
    form.reset()
    action.reset()
    close()
  }
  const submit = form.onSubmit((values) =>
    action.mutate(asked(values), {
      onSuccess(made) {
        leave()
        onMade(made)
      },
    }),
  )
  return (
    <Modal opened={isOpen} onClose={leave} title="Make a key" size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={submit}>
        <Stack gap="md">
          <TextInput
            label="Name"
            placeholder="such as billing-service"
            data-autofocus
            {...form.getInputProps('name')}
          />
          <Group grow align="flex-start">
            <TextInput
              label="Budget, dollars"
              placeholder="no bound of its own"
              inputMode="decimal"
              {...form.getInputProps('budget')}
            />
            <Select label="It counts" data={PERIODS} allowDeselect={false} {...form.getInputProps('period')} />
          </Group>
          <Group grow align="flex-start">
            <NumberInput
              label="Calls a minute"
              placeholder="no limit"
              min={1}
              allowDecimal={false}
              {...form.getInputProps('rpm')}
            />
            <NumberInput
              label="Tokens a minute"
              placeholder="no limit"
              min={1}
              allowDecimal={false}
              {...form.getInputProps('tpm')}
            />
          </Group>
          <MultiSelect
            label="Models"
            placeholder={form.values.models.length === 0 ? 'all that you may call' : ''}
            data={models.map(({ id }) => id)}
            searchable
            clearable
            {...form.getInputProps('models')}
          />
          <Select label="Expires" data={EXPIRIES} allowDeselect={false} {...form.getInputProps('days')} />
          {action.isError && <Failure error={action.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={action.isPending}>
              Make it
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}

function asked({ name, models, budget, period, rpm, tpm, days }: Values): NewKey {
  return {
    name: name.trim(),
    expires_in_days: Number(days),
    ...(models.length > 0 && { models }),
    ...(budget !== '' && { max_budget: budget, ...(period !== '' && { budget_duration: period }) }),
    ...(typeof rpm === 'number' && { rpm_limit: rpm }),
    ...(typeof tpm === 'number' && { tpm_limit: tpm }),
  }
}
