/**
 * What one durable commit of one row costs here and now: the least any ledger that loses nothing can take. One connection,
 * one prepared statement, one row, synchronous_commit on.
 */
import type pg from 'pg'
import { Latencies } from './latencies.ts'

export interface Floor {
  /** Median of one commit. */
  milliseconds: number
  perSecond: number
}

export class CommitFloor {
  private readonly client: pg.Client

  private constructor(client: pg.Client) {
    this.client = client
  }

  static async open(client: pg.Client): Promise<CommitFloor> {
    await client.query('set synchronous_commit = on')
    await client.query('create table bench_floor (id integer primary key, n bigint not null) with (fillfactor = 50)')
    await client.query('insert into bench_floor values (1, 0)')
    return new CommitFloor(client)
  }

  async measure(seconds: number): Promise<Floor> {
    const latencies = new Latencies()
    const start = performance.now()
    const end = start + seconds * 1000
    let before = start
    do {
      await this.client.query({ name: 'floor', text: 'update bench_floor set n = n + 1 where id = 1' })
      const after = performance.now()
      latencies.add(after - before)
      before = after
    } while (before < end)
    const { count, p50 } = latencies.summary()
    return { milliseconds: p50, perSecond: (count * 1000) / (before - start) }
  }

  /** Before and after something, so that a disk that changes its mind in between shows. */
  async around<Result>(seconds: number, work: () => Promise<Result>): Promise<{ floor: Floor; result: Result }> {
    const before = await this.measure(seconds)
    const result = await work()
    const after = await this.measure(seconds)
    const middle = (pick: (floor: Floor) => number) => (pick(before) + pick(after)) / 2
    return { floor: { milliseconds: middle((f) => f.milliseconds), perSecond: middle((f) => f.perSecond) }, result }
  }

  /** The settings durability rests on, as the server states them. */
  async settings(): Promise<string> {
    const names = ['fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method']
    const { rows } = await this.client.query<{ name: string; setting: string }>(
      'select name, setting from pg_settings where name = any ($1) order by name',
      [names],
    )
    return rows.map(({ name, setting }) => `${name}=${setting}`).join(' ')
  }
}
