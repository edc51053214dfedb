/** Rules of the ledger broken on purpose, in a database that is thrown away: what the model must notice. */
import pg from 'pg'
import { sharedBreakages } from './shared-breakages.ts'

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
    function: 'ledger_close_one',
    right: 'used_credits = u.used_credits + p_call.charge',
    wrong: 'used_credits = u.used_credits + 2 * p_call.charge',
    within: 50,
  },
  {
    name: 'recovery ignores the checkpoint',
    function: 'ledger_recover',
    right: "'charge', coalesce(h.checkpoint_credits, 0)",
    wrong: "'charge', 0",
    within: 300,
  },
  {
    name: 'an extension forgets the pool',
    function: 'ledger_extend',
    right: 'perform ledger_move(v_allocation, v_more, 0);',
    wrong: 'update public.user_credit_allocations set held_credits = held_credits + v_more where id = v_allocation.id;',
    within: 200,
  },
  {
    name: 'a correction has no sign',
    function: 'ledger_reconcile_closed',
    right: 'v_difference := p_call.charge - charged;',
    wrong: 'v_difference := abs(p_call.charge - charged);',
    within: 500,
  },
  {
    name: 'a hold ignores what the pool has left',
    function: 'ledger_available',
    right: 'LEAST(p_free, p_pool_free)',
    wrong: 'p_free',
    within: 1_000,
  },
  {
    name: 'an extension is an increment',
    function: 'ledger_extend',
    right: 'v_more := p_target - held;',
    wrong: 'v_more := p_target;',
    within: 200,
  },
  {
    name: 'a settled call is corrected',
    function: 'ledger_reconcile_closed',
    right: "v_hold.state = 'settled' or v_difference = 0",
    wrong: 'v_difference = 0',
    within: 200,
  },
  {
    name: 'a call is corrected again and again',
    function: 'ledger_reconcile_closed',
    right: "or 'recovery' = any(v_booked.corrected)",
    wrong: '',
    within: 1_000,
  },
  {
    name: 'a dispute is settled again and again',
    function: 'ledger_settle_dispute',
    right: "if 'dispute' = any(v_booked.corrected) then",
    wrong: 'if false then',
    within: 1_000,
  },
  {
    name: 'a dispute forgets what was corrected before',
    function: 'ledger_settle_dispute',
    right: 'v_difference := p_charge - charged;',
    wrong:
      "v_difference := p_charge - (select credits_used from public.credit_usage_attribution where call_id = p_call_id and entry = 'charge');",
    within: 2_000,
  },
  {
    name: 'any call can be disputed',
    function: 'ledger_settle_dispute',
    right: 'if not v_booked.disputed then',
    wrong: 'if false then',
    within: 500,
  },
  {
    name: 'a reset gives more than the pool has',
    function: 'ledger_brought_up_to_date',
    right: 'least(allocation.used_credits, pool.total_credits - pool.allocated_credits)',
    wrong: 'allocation.used_credits',
    within: 1_000,
  },
  {
    name: 'a refresh comes once, however long nothing ran',
    function: 'ledger_brought_up_to_date',
    right: 'refreshed := refreshed + pool.monthly_refresh_amount;',
    wrong: 'refreshed := pool.monthly_refresh_amount;',
    within: 1_000,
  },
  {
    name: 'a hold does not need a lease',
    function: 'ledger_hold_one',
    right: 'and l.lease_until > v_now',
    wrong: '',
    within: 500,
  },
  {
    name: 'a batch does not need a lease',
    function: 'ledger_lease_is_valid',
    right: 'and lease_until > p_now',
    wrong: '',
    within: 500,
  },
  {
    name: 'a batch forgets what its earlier calls hold',
    function: 'ledger_hold_batch',
    right: 'least(a.free - a.held_by_user, a.pool_free - a.held_by_org)',
    wrong: 'least(a.free - a.wanted, a.pool_free - a.wanted)',
    within: 500,
  },
  {
    name: 'a hold sees nothing of what another batch just took',
    function: 'ledger_lock_batch',
    right: 'order by org_id for update) p;',
    wrong: 'order by org_id) p;',
    within: 2_000,
  },
  {
    name: 'a limit keeps what it held',
    function: 'ledger_close_one',
    right: "set held = l.held - case when t.is_counted then 0 when l.unit = 'calls' then 1 else v.released end",
    wrong: 'set held = l.held',
    within: 200,
  },
  {
    name: 'a limit keeps what a batch held',
    function: 'ledger_close_batch',
    right: "set held = l.held - case l.unit when 'calls' then b.calls_released else b.released end",
    wrong: 'set held = l.held',
    within: 200,
  },
  {
    name: 'a batch holds nothing of a limit',
    function: 'ledger_hold_batch',
    right: "set held = l.held + case l.unit when 'calls' then b.calls else b.credits end",
    wrong: 'set held = l.held',
    within: 300,
  },
  {
    name: 'a near limit is not kept for the call that comes first',
    function: 'ledger_fit_limits',
    right: 'v_is_kept_out[v_places[u]] := v_is_near[v_places[u]];',
    wrong: 'null;',
    within: 3_000,
  },
  {
    name: 'a limit is far although a byte may be a token',
    function: 'ledger_fit_limits',
    right: 'greatest(k.input, k.input_bytes) + k.output',
    wrong: 'k.output',
    within: 1_000,
  },
  {
    name: 'a batch takes from a limit what its earlier calls took',
    function: 'ledger_fit_limits',
    right: 'v_left[v_limit] := v_left[v_limit] - case when v_by_call[v_limit] then 1 else p_plan.held[i] end;',
    wrong: 'null;',
    within: 500,
  },
  {
    name: 'a batch holds more than the limit leaves',
    function: 'ledger_fit_limits',
    right: 'p_plan.held[i] := least(p_plan.held[i], v_left[v_tightest]);',
    wrong: 'null;',
    within: 1_000,
  },
  {
    name: 'one that is served later is overtaken by its own user',
    function: 'ledger_hold_batch',
    right: 'bool_and(f.is_far_itself) over (partition by f.payer order by f.place)',
    wrong: 'f.is_far_itself',
    within: 1_000,
  },
  {
    name: 'a checkpoint goes back',
    function: 'ledger_progress_batch',
    right: 'and k.credits >= coalesce(h.checkpoint_credits, 0)',
    wrong: 'and k.credits is not null',
    within: 500,
  },
  {
    name: 'a suspended organization gets a larger hold',
    function: 'ledger_progress_batch',
    right: 'elsif v.ended is not null then',
    wrong: 'elsif v.ended is not null and v.target is null then',
    within: 1_000,
  },
  {
    name: 'a hold that shrinks keeps what its limits hold',
    function: 'ledger_shrink',
    right: 'perform ledger_move_limits(v_hold.limits, -v_less, 0, 0, 0);',
    wrong: 'perform ledger_move_limits(v_hold.limits, 0, 0, 0, 0);',
    within: 2_000,
  },
  {
    name: 'an overage stays when it is paid off',
    function: 'ledger_close_batch',
    right: 'greatest(u.used - u.released - u.free, 0) - greatest(-u.free, 0)',
    wrong: 'greatest(greatest(u.used - u.released - u.free, 0) - greatest(-u.free, 0), 0)',
    within: 1_000,
  },
  {
    name: 'recovery takes the calls of the living',
    function: 'ledger_recover',
    right: 'p.stopped_at is null and p.dead_at is null)',
    wrong: 'p.stopped_at is null and p.dead_at is null and p.lease_until > v_now)',
    within: 6_000,
  },
  {
    name: 'a repeated deduction is charged again',
    function: 'deduct_credits',
    right: "interval '10 minutes'",
    wrong: "interval '0 minutes'",
    within: 1_000,
  },
  {
    name: 'settlements of a batch are charged twice',
    function: 'ledger_close_batch',
    right: 'used_credits = a.used_credits + u.used',
    wrong: 'used_credits = a.used_credits + 2 * u.used',
    within: 100,
  },
  {
    name: 'a batch holds nothing of the pool',
    function: 'ledger_hold_batch',
    right: 'set held_credits = p.held_credits + o.held',
    wrong: 'set held_credits = p.held_credits',
    within: 200,
  },
  {
    name: 'a batch holds for whom it should not',
    function: 'ledger_hold_batch',
    right: "and o.status = 'active' and a.is_active",
    wrong: 'and a.is_active',
    within: 500,
  },
  {
    name: 'a batch holds for a call that is held or closed',
    function: 'ledger_hold_batch',
    right: 'and h.call_id is null',
    wrong: '',
    within: 200,
  },
  {
    name: 'a batch overlooks the budget of a key',
    function: 'ledger_hold_batch',
    right: 'bool_or(coalesce(u.limit_amount, l.limit_amount) is not null) as bounds',
    wrong: 'bool_or(u.limit_amount is not null) as bounds',
    within: 500,
  },
  {
    name: 'a batch is careless about the input',
    function: 'ledger_hold_batch',
    right: 'a.pool_free - a.held_by_org) >= a.margin_by_user',
    wrong: 'a.pool_free - a.held_by_org) >= 0',
    within: 1_000,
  },
  {
    name: 'a hold takes the next step of a running stream',
    function: 'ledger_hold_one',
    right: 'when held = input + p_call.output then coalesce(p_call.step, 0)',
    wrong: 'when held = input + p_call.output then 0',
    within: 500,
  },
  {
    name: 'a stream that can not grow keeps a step from others',
    function: 'ledger_hold_one',
    right: 'when held = input + p_call.output then coalesce(p_call.step, 0)',
    wrong: 'when true then coalesce(p_call.step, 0)',
    within: 500,
  },
  {
    name: 'media that were left unheld keep nothing from others',
    function: 'ledger_hold_one',
    right: 'then least(p_call.uncertain, input + p_call.output - held)',
    wrong: 'then 0',
    within: 1_000,
  },
  {
    name: 'media are left unheld though running calls will end',
    function: 'ledger_hold_one',
    right: 'v_full > coalesce(v_if_idle, v_full)',
    wrong: 'v_full > coalesce(v_available, v_full)',
    within: 1_000,
  },
  {
    name: 'media of two users of one pool are left unheld at once',
    function: 'ledger_hold_one',
    right: "h.context ? 'unheld'",
    wrong: 'false',
    within: 2_000,
  },
  {
    name: 'a limit covers what is left unheld',
    function: 'ledger_hold_one',
    right: 'v_limits.available < v_full',
    wrong: 'v_limits.available < required',
    within: 2_000,
  },
  {
    name: 'a batch takes the next step of a running stream',
    function: 'ledger_hold_batch',
    right: '+ coalesce(c.step, 0) as margin',
    wrong: 'as margin',
    within: 500,
  },
  {
    name: 'a batch tells all of them what the last one has left',
    function: 'ledger_hold_batch',
    right: 'over (partition by s.allocation_id order by s.place)',
    wrong: 'over (partition by s.allocation_id)',
    within: 500,
  },
  {
    name: 'a batch counts overage nobody has',
    function: 'ledger_hold_batch',
    right: 'sum(greatest(u.held - u.free, 0) - greatest(-u.free, 0))',
    wrong: 'sum(greatest(u.held - u.free, 0))',
    within: 2_000,
  },
  {
    name: 'a call alone overlooks the budget of its key',
    function: 'ledger_hold_one',
    right: 'if not v_limits.has_call or v_limits.available < v_full then',
    wrong: 'if not v_limits.has_call then',
    within: 500,
  },
  {
    name: 'a call alone holds nothing of a limit',
    function: 'ledger_hold_one',
    right: "set held = l.held + case l.unit when 'calls' then 1 else ledger_hold_one.held end",
    wrong: 'set held = l.held',
    within: 500,
  },
  {
    name: 'a call alone is held for whom it should not',
    function: 'ledger_hold_one',
    right: "where o.id = p_call.org_id and o.status = 'active'",
    wrong: 'where o.id = p_call.org_id',
    within: 500,
  },
  {
    name: 'a call alone counts nothing on its key',
    function: 'ledger_close_one',
    right:
      "used = l.used + case when l.unit <> 'calls' then p_call.charge when p_call.state = 'released' then 0 else 1 end",
    wrong: 'used = l.used',
    within: 300,
  },
  {
    name: 'a call alone is held again',
    function: 'ledger_hold_one',
    right: 'on conflict (call_id) do nothing',
    wrong: 'on conflict (call_id) do update set held_credits = ledger_holds.held_credits',
    within: 500,
  },
  {
    name: 'a call alone closes for the pool only',
    function: 'ledger_close_one',
    right: 'set held_credits = u.held_credits - v.released',
    wrong: 'set held_credits = u.held_credits',
    within: 500,
  },
  {
    name: 'what a key has used is not counted',
    function: 'ledger_close_batch',
    right: "used = l.used + case l.unit when 'calls' then b.calls else b.charge end",
    wrong: 'used = l.used',
    within: 300,
  },
  {
    name: 'what a key has used is not corrected',
    function: 'ledger_reconcile_closed',
    right: 'ledger_move_limits(v_hold.limits, 0, 0, v_difference,',
    wrong: 'ledger_move_limits(v_hold.limits, 0, 0, 0,',
    within: 1_000,
  },
  {
    name: 'a batch gives back what it never held',
    function: 'ledger_close_batch',
    right: 'p.held_credits - o.released',
    wrong: 'p.held_credits - o.used',
    within: 200,
  },
  {
    name: 'those who can pay nothing are told another amount',
    function: 'ledger_hold_batch',
    right: 'greatest(v_left[k.ordinality], 0)',
    wrong: 'greatest(v_plan.free[k.ordinality], 0)',
    within: 1_000,
  },
  {
    name: 'a call that running ones stand in the way of is refused for good in a batch',
    function: 'ledger_hold_batch',
    right: 'when k.needs <= v_if_idle[k.ordinality]',
    wrong: 'when false',
    within: 1_000,
  },
  ...sharedBreakages,
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
