/** A table that becomes cards where the window is narrow. It says what its columns are to screen readers in both. */
import { clsx } from 'clsx'
import type { ReactNode } from 'react'

export interface Column<T> {
  label: string
  cell: (row: T) => ReactNode
  /** For numbers. */
  end?: boolean
}

interface Props<T> {
  /** What the table is of, for screen readers. */
  label: string
  rows: readonly T[]
  columns: readonly Column<T>[]
  keyOf: (row: T) => string
}

export function Rows<T>({ label, rows, columns, keyOf }: Props<T>) {
  return (
    <table className="rows" aria-label={label}>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.label} scope="col" className={clsx(column.end && 'end')}>
              {column.label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map((column) => (
              <td key={column.label} data-label={column.label} className={clsx(column.end && 'end')}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
