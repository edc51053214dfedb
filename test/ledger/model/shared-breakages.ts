/** Rules of what calls share, broken on purpose: the lines they wait in, and slices of a limit of all organizations. */
import type { Breakage } from './breakages.ts'

const lines: readonly Breakage[] = [
  {
    name: 'a call alone overtakes who waits',
    function: 'ledger_hold_one',
    right: 'and (v_may_overtake or not exists (select from ledger_waiters))',
    wrong: '',
    within: 500,
  },
  {
    name: 'a call alone that running ones stand in the way of is refused',
    function: 'ledger_hold_one',
    right: "when outcome = 'in_flight' then 'allocation ' || v.id",
    wrong: "when false then ''",
    within: 300,
  },
  {
    name: 'a call waits for a limit that is used up',
    function: 'ledger_hold_one',
    right: "when outcome = 'limit' and v_fits_if_idle then",
    wrong: "when outcome = 'limit' then",
    within: 500,
  },
  {
    name: 'a call that is held stands in its line for ever',
    function: 'ledger_hold_one',
    right:
      'if v_may_stand then perform ledger_leave_line(p_call.call_id, v_now); end if;\n          if v_limits.bounds',
    wrong: 'if v_limits.bounds',
    within: 300,
  },
  {
    name: 'a call that is refused stands in its line for ever',
    function: 'ledger_hold_one',
    right: "elsif v_may_stand and outcome <> 'slice' then",
    wrong: 'elsif false then',
    within: 1_000,
  },
  {
    name: 'the end of a call tells nobody who waits for it',
    function: 'ledger_close_one',
    right: 'if v_some_wait then perform ledger_call_first_after(array[p_call.call_id], v_now); end if;',
    wrong: '',
    within: 500,
  },
  {
    name: 'the ends of a batch tell nobody who waits for them',
    function: 'ledger_close_batch',
    right: 'perform ledger_call_first_after(v_call_ids, v_now);',
    wrong: 'null;',
    within: 500,
  },
  {
    name: 'who leaves a line does not tell the next',
    function: 'ledger_leave_line',
    right: 'if found then perform ledger_call_first(array[v_line], p_now); end if;',
    wrong: '',
    within: 500,
  },
  {
    name: 'who asks again goes to the end of the line',
    function: 'ledger_join_line',
    right: 'do update set line = excluded.line where w.line <> excluded.line',
    wrong: 'do update set line = excluded.line, place = default',
    within: 1_000,
  },
  {
    name: 'one whose time is over stands in the way',
    function: 'ledger_line_ahead',
    right: 'and w.until > p_now',
    wrong: '',
    within: 4_000,
  },
  {
    name: 'a batch overtakes who waits',
    function: 'ledger_hold_batch',
    right: 'v_some_wait and k.wait_ms > 0',
    wrong: 'false',
    within: 500,
  },
  {
    name: 'a batch refuses who could wait for a limit',
    function: 'ledger_fit_limits',
    right: 'elsif p_calls[i].wait_ms > 0 then',
    wrong: 'elsif false then',
    within: 500,
  },
  {
    name: 'a batch overtakes who waits since the same batch',
    function: 'ledger_fit_limits',
    right: 'v_has_waiter[v_limit] := true;',
    wrong: 'null;',
    within: 2_000,
  },
  {
    name: 'a batch lets those that are refused stand in line',
    function: 'ledger_hold_batch',
    right: 'perform ledger_leave_refused(v.call_ids, v.lines, v.needs, v_now);',
    wrong: 'null;',
    within: 1_000,
  },
  {
    name: 'a batch forgets who has to wait',
    function: 'ledger_hold_batch',
    right: 'perform ledger_join_lines(v_calls, v_plan.lines, v_now);',
    wrong: 'null;',
    within: 500,
  },
]

const slices: readonly Breakage[] = [
  {
    name: 'a slice is filled beyond the whole',
    function: 'ledger_fill_slice',
    right: 'least(v_whole.amount - v_whole.granted,',
    wrong: 'least(v_whole.amount,',
    within: 200,
  },
  {
    name: 'what idles in other slices stays there',
    function: 'ledger_fill_slice',
    right: 'if v_short > v_whole.amount - v_whole.granted then',
    wrong: 'if false then',
    within: 500,
  },
  {
    name: 'a slice gives away what its calls hold',
    function: 'ledger_fill_slice',
    right: 'greatest(l.used + l.held, 0)',
    wrong: 'greatest(l.used, 0)',
    within: 1_000,
  },
  {
    name: 'a call alone is cut to what its slice has',
    function: 'ledger_hold_one',
    right: 'if v_limits.short_slice and p_call.sliced is not true',
    wrong: 'if false',
    within: 200,
  },
  {
    name: 'a batch cuts a call to what its slice has',
    function: 'ledger_fit_limits',
    right: 'p_calls[i].sliced is not true and ledger_is_sliced(v_kinds[v_limit])',
    wrong: 'false',
    within: 500,
  },
  {
    name: 'a slice that is not there yet bounds nothing in a batch',
    function: 'ledger_hold_batch',
    right: 'not coalesce((v_limits[k.ordinality]).lacks_slice, false)',
    wrong: 'true',
    within: 500,
  },
  {
    name: 'a slice keeps what calls of a dead process held',
    function: 'ledger_close_batch',
    right: 'from by_limit b where l.kind = b.kind',
    wrong: "from by_limit b where l.kind <> 'proxy' and l.kind = b.kind",
    within: 500,
  },
]

export const sharedBreakages: readonly Breakage[] = [...lines, ...slices]
