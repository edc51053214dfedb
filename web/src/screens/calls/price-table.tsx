import { Text } from '@mantine/core'
import type { Call } from '../../api/calls.ts'
import { nanoOfDollars, showCount } from '../../money/amounts.ts'
import { Amount } from '../../ui/amount.tsx'
import { Rows } from '../../ui/rows.tsx'

/** What was used at which rate; then what makes the charge of it. The last line is the charge itself. */
export function PriceTable({ call }: { call: Call }) {
  return (
    <>
      <Rows
        label="Price, line by line"
        rows={call.lines}
        keyOf={({ what }) => what}
        columns={[
          { label: 'What', cell: ({ what }) => what },
          {
            label: 'Quantity',
            end: true,
            cell: ({ quantity }) => <span className="number">{quantity === null ? '' : showCount(quantity)}</span>,
          },
          {
            label: 'Rate, a million',
            end: true,
            cell: ({ rate }) => (rate === null ? '' : <Amount dollars={rate} />),
          },
          { label: 'Cost', end: true, cell: ({ cost }) => <Amount dollars={cost} /> },
        ]}
      />
      <Text fw={650} ta="end" mt="xs" px="sm" data-charge>
        Charged <Amount nano={nanoOfDollars(call.cost ?? '0')} />
      </Text>
    </>
  )
}
