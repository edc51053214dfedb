/** Rules of the ledger broken on purpose, in a database that is thrown away: what the model must notice. */
import pg from 'pg'

export interface Breakage {
  name: string
  function: string
  /** As pg_get_functiondef writes it. */
  right: string
  wrong: string
  /** Runs in which it has to show. */
  within: number
}

export const breakages: readonly Breakage[] = [
  {
    name: 'a settlement is charged twice',
    function: 'ledger_close_batch',
    right: 'm_used[m] := m_used[m] + v.charge;',
    wrong: 'm_used[m] := m_used[m] + 2 * v.charge;',
    within: 50,
  },
  {
    name: 'recovery ignores the checkpoint',
    function: 'ledger_recover',
    right: 'array_agg(coalesce(h.checkpoint_credits, 0)) as charges',
    wrong: 'array_agg(0::numeric) as charges',
    within: 300,
  },
  {
    name: 'an extension forgets the pool',
    function: 'ledger_extend',
    right: 'perform ledger_move(v_allocation, v_more, 0);',
    wrong: 'update user_credit_allocations set held_credits = held_credits + v_more where id = v_allocation.id;',
    within: 200,
  },
  {
    name: 'a correction has no sign',
    function: 'ledger_close_late',
    right: 'v_amount := p_charge - charged;',
    wrong: 'v_amount := abs(p_charge - charged);',
    within: 500,
  },
  {
    name: 'a hold ignores what the pool has left',
    function: 'ledger_room',
    right: 'LEAST(p_free, p_pool_free)',
    wrong: 'p_free',
    within: 1_000,
  },
  {
    name: 'an extension is an increment',
    function: 'ledger_extend',
    right: 'v_more := p_total - held;',
    wrong: 'v_more := p_total;',
    within: 200,
  },
  {
    name: 'a settled call is corrected',
    function: 'ledger_close_late',
    right: "v_hold.state = 'settled' or v_amount = 0",
    wrong: 'v_amount = 0',
    within: 200,
  },
  {
    name: 'a call is corrected again and again',
    function: 'ledger_close_late',
    right:
      "or v_booked.corrected\n          or exists (select 1 from ledger_journal where call_id = p_call_id and kind = 'correction')",
    wrong: '',
    within: 1_000,
  },
  {
    name: 'a reset gives more than the pool has',
    function: 'ledger_lock',
    right: 'least(allocation.used_credits, pool.total_credits - pool.allocated_credits)',
    wrong: 'allocation.used_credits',
    within: 1_000,
  },
  {
    name: 'a refresh comes once, however long nothing ran',
    function: 'ledger_lock',
    right: 'v_amount := v_amount + pool.monthly_refresh_amount;',
    wrong: 'v_amount := pool.monthly_refresh_amount;',
    within: 1_000,
  },
  {
    name: 'a hold does not need a lease',
    function: 'ledger_may_hold',
    right: 'and lease_until > p_now',
    wrong: '',
    within: 200,
  },
  {
    name: 'a batch forgets what its earlier calls hold',
    function: 'ledger_hold_batch',
    right: 'v_free := v_free - v_held;',
    wrong: '',
    within: 200,
  },
  {
    name: 'a hold sees nothing of what another batch just took',
    function: 'ledger_lock_batch',
    right: 'perform 1 from organization_credit_pools where org_id = any(p_org_ids) order by org_id for update;',
    wrong: '',
    within: 2_000,
  },
  {
    name: 'a limit keeps what it held',
    function: 'ledger_close_batch',
    right: 'set held = l.held - k.held, used = l.used + k.used',
    wrong: 'set used = l.used + k.used',
    within: 200,
  },
  {
    name: 'a checkpoint goes back',
    function: 'ledger_progress_batch',
    right: 'and k.credits >= coalesce(h.checkpoint_credits, 0)',
    wrong: 'and k.credits is not null',
    within: 500,
  },
  {
    name: 'an overage stays when it is paid off',
    function: 'ledger_close_batch',
    right: 'm_pool_overage[n] + greatest(-v_free, 0) - v_below;',
    wrong: 'm_pool_overage[n] + greatest(greatest(-v_free, 0) - v_below, 0);',
    within: 1_000,
  },
  {
    name: 'recovery takes the calls of the living',
    function: 'ledger_recover',
    right: 'p.stopped_at is null and p.dead_at is null)',
    wrong: 'p.stopped_at is null and p.dead_at is null and p.lease_until > v_now)',
    within: 2_000,
  },
  {
    name: 'a repeated deduction is charged again',
    function: 'deduct_credits',
    right: "interval '10 minutes'",
    wrong: "interval '0 minutes'",
    within: 1_000,
  },
]

/** Breaks the rule while `work` runs. */
export async function whileBroken<T>(url: string, breakage: Breakage, work: () => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ definition: string }>(
      'select pg_get_functiondef(oid) as definition from pg_proc where proname = $1',
      [breakage.function],
    )
    const definition = rows[0]?.definition ?? ''
    if (rows.length !== 1 || !definition.includes(breakage.right)) {
      throw new Error(`${breakage.function} has changed: there is nothing to break by "${breakage.name}"`)
    }
    await client.query(definition.replace(breakage.right, breakage.wrong))
    try {
      return await work()
    } finally {
      await client.query(definition)
    }
  } finally {
    await client.end()
  }
}
