/** A connection for a piece of work that is no call's: opened for it, ended after it. */
import pg from 'pg'

/** @param name as the server's administrator sees it, behind `tollgate`. @throws what `work` throws, or what PostgreSQL says of the connection. */
export async function withClient<Result>(
  url: string,
  name: string,
  work: (client: pg.Client) => Promise<Result>,
  limits: Pick<pg.ClientConfig, 'statement_timeout' | 'query_timeout'> = {},
): Promise<Result> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `tollgate ${name}`,
    connectionTimeoutMillis: 5_000,
    ...limits,
  })
  // What was asked then rejects; without a listener a broken connection would end the process.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
