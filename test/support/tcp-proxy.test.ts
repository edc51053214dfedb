/** The faults other tests rely on: a wire that only seems to break would prove nothing. */
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { useDatabase } from './database.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

const db = useDatabase()
let proxy: TcpProxy
const clients: pg.Client[] = []
/** Which of them depends on what was on its way. */
const BROKEN = /terminated|ECONNRESET/

beforeAll(async () => {
  proxy = await startTcpProxy(() => db.url)
  await db.pool.query(
    `create table marks (mark text primary key);
     create function set_mark(p_mark text) returns text language sql as 'insert into marks values (p_mark) returning mark'`,
  )
})
afterEach(async () => {
  proxy.restore()
  await Promise.all(clients.splice(0).map((client) => client.end().catch(() => {})))
})
afterAll(() => proxy.close())

async function connected(url = proxy.url): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  clients.push(client)
  return client
}

/** By a named prepared statement, as the product sends its own. */
function setMark(client: pg.Client, mark: string): Promise<unknown> {
  return client.query({ name: 'set_mark', text: 'select set_mark($1)', values: [mark] })
}

async function marks(): Promise<unknown[]> {
  const { rows } = await db.pool.query<{ mark: string }>('select mark from marks order by mark')
  return rows.map(({ mark }) => mark)
}

test('A withheld commit is committed, and its connection broken.', async () => {
  const client = await connected()
  const withheld = proxy.withholdCommit('set_mark')
  await client.query('select 1')
  await expect(setMark(client, 'a')).rejects.toThrow(BROKEN)
  expect(await withheld).toBe(1)
  expect(await marks()).toEqual(['a'])
})

test('A statement that is prepared already is withheld too, as often as asked, and no more.', async () => {
  const both = [await connected(), await connected()]
  for (const [i, client] of both.entries()) await setMark(client, `b${i}`)
  const withheld = proxy.withholdCommit('set_mark', 2)
  const lost = await Promise.allSettled(both.map((client, i) => setMark(client, `c${i}`)))
  expect(lost.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await withheld).toBe(2)
  await setMark(await connected(), 'd')
  expect(await marks()).toEqual(['a', 'b0', 'b1', 'c0', 'c1', 'd'])
})

test('An error is no commit: it passes, and the next commit is withheld.', async () => {
  const client = await connected()
  const withheld = proxy.withholdCommit('set_mark')
  await expect(setMark(client, 'a')).rejects.toMatchObject({ code: '23505' })
  await expect(setMark(client, 'e')).rejects.toThrow(BROKEN)
  expect(await withheld).toBe(1)
})

test('What has not been withheld by the restore passes.', async () => {
  const client = await connected()
  const withheld = proxy.withholdCommit('set_mark', 3)
  proxy.restore()
  expect(await withheld).toBe(0)
  await setMark(client, 'f')
  expect(await marks()).toContain('f')
})

test('A stall keeps what is sent, both ways, and delivers it by the restore.', async () => {
  const client = await connected()
  proxy.stall()
  const answer = setMark(client, 'g')
  const late = connected()
  // Another connection around the proxy answers meanwhile.
  expect(await marks()).not.toContain('g')
  proxy.restore()
  await answer
  await (await late).query('select 1')
  expect(await marks()).toContain('g')
})

test('Broken connections are broken, and new ones pass.', async () => {
  const client = await connected()
  const sleeping = client.query('select pg_sleep(5)')
  proxy.breakConnections()
  await expect(sleeping).rejects.toThrow(BROKEN)
  await setMark(await connected(), 'h')
})

test('A server is reached over TCP as well.', async () => {
  const second = await startTcpProxy(proxy.url)
  const client = await connected(second.url)
  expect((await client.query('select current_database() as name')).rows).toEqual([
    { name: (await db.pool.query('select current_database() as name')).rows[0]?.name },
  ])
  await client.end()
  await second.close()
})
