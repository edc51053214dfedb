/** Connections that break. */
import { expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()

test('A connection that breaks while somebody has it ends neither the process nor the pool.', async () => {
  const database = connect(db.url)
  const client = await database.pool.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const broken = new Promise<void>((resolve) => client.once('end', resolve))

  await db.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid])
  await broken

  client.release(true)
  expect((await database.pool.query('select 1 as value')).rows).toEqual([{ value: 1 }])
  await database.close()
})
