-- Virtual keys, users, teams, members of teams, organizations and customers: what bounds their calls, and what they spent.

-- As identity/ reads one.
create or replace function tollgate.spender_view(p tollgate.spender_terms) returns jsonb
  language sql stable
  return jsonb_build_object('kind', p.kind, 'id', p.id, 'name', p.name, 'budgets', p.budgets, 'rpm', p.requests_per_minute,
    'tpm', p.tokens_per_minute, 'parallel', p.calls_at_once, 'models', to_jsonb(p.models), 'is_blocked', p.is_blocked,
    'aliases', p.settings -> 'aliases', 'tags', p.settings -> 'tags', 'soft', p.settings -> 'soft_budget',
    'model_rpm', p.settings -> 'model_rpm_limit', 'model_tpm', p.settings -> 'model_tpm_limit');

-- Those that bind whatever a user does in an organization. Null where there is none: nearly everywhere.
create or replace function tollgate.spenders_of_user(p_org_id uuid, p_user_id varchar) returns jsonb
  language sql stable parallel safe
  return (
    select jsonb_agg(tollgate.spender_view(s) order by s.kind) from tollgate.spender_terms s
    where s.org_id = p_org_id and (s.kind = 'user' and s.name = p_user_id or s.kind = 'organization' and s.name = p_org_id::text));

-- Those that bind a virtual key besides: itself, its team, its user as a member of the team.
create or replace function tollgate.spenders_of_key(p_org_id uuid, p_key_id uuid) returns jsonb
  language sql stable parallel safe
  return (
    select jsonb_agg(tollgate.spender_view(s) order by s.kind)
    from tollgate.spenders k
    join tollgate.spender_terms s on s.org_id = k.org_id and (
      s.kind = 'key' and s.name = k.name or s.kind = 'team' and s.name = k.team
      or s.kind = 'team_member' and s.team = k.team and s.user_id = k.user_id)
    where k.org_id = p_org_id and k.kind = 'key' and k.name = p_key_id::text);

-- The amount of a budget of all time stands in its row, where every process finds it. Called in the transaction of each change, for
-- those it is about: those of p_ids, and those that name one of them as their budget.
create or replace function tollgate.spender_limits_write(p_ids uuid[]) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
        select t.kind, t.id::text, ledger_all_time(), 'credits', t.amount
        from (
          select s.kind, s.id, (
            select min((b ->> 'amount')::numeric) from jsonb_array_elements(s.budgets) b
            where b ->> 'window' is null and b ->> 'model' is null) as amount
          from spender_terms s
          where s.kind <> 'budget' and (s.id = any(p_ids) or exists (
            select from spenders n join spenders b on b.org_id = n.org_id and b.kind = 'budget' and b.name = n.budget
            where n.id = s.id and b.id = any(p_ids)))) t
        where t.amount is not null or exists (
          select from ledger_limits e where e.kind = t.kind and e.id = t.id::text and e.window_start = ledger_all_time())
        order by t.kind, t.id
        on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
          where l.limit_amount is distinct from excluded.limit_amount;
    end
  $$;

-- What each budget of a spender has used, in its current window. Of the first row, the whole: no window, no model.
create or replace function tollgate.spender_used(p_kind varchar, p_id uuid, p_budgets jsonb)
  returns table (model text, "window" varchar, amount numeric, used numeric, held numeric, window_end timestamptz)
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    select b.model, b."window", b.amount, coalesce(l.used, 0), coalesce(l.held, 0), ledger_window_end(b."window", tollgate_now())
    from (
      select 0 as place, null::text as model, null::varchar as "window", null::numeric as amount
      union all
      select e.place, e.b ->> 'model', e.b ->> 'window', (e.b ->> 'amount')::numeric
      from jsonb_array_elements(p_budgets) with ordinality as e(b, place)) b
    left join ledger_limits l
      on l.kind = p_kind || case when b.model is null and b."window" is null then '' else '_budget' end
        and l.id = p_id || coalesce('/' || b."window", '') || coalesce(':' || b.model, '')
        and l.window_start = ledger_window_start(b."window", tollgate_now())
    order by b.place
  $$;

-- What was spent of a budget elsewhere, as of now: what is more than was stated before counts as used here, in the current window. Stated
-- again it changes nothing. Returns the credits that were added.
create or replace function tollgate.spender_open(
    p_kind varchar, p_id uuid, p_window varchar, p_model text, p_credits numeric, p_source varchar) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v_kind varchar := p_kind || case when p_model is null and p_window is null then '' else '_budget' end;
      v_id varchar := p_id || coalesce('/' || p_window, '') || coalesce(':' || p_model, '');
      v_start timestamptz := ledger_window_start(p_window, v_now);
      v_more numeric;
    begin
      if p_credits <= 0 then return 0; end if;
      insert into ledger_limits (kind, id, window_start, window_end)
        values (v_kind, v_id, v_start, ledger_window_end(p_window, v_now)) on conflict (kind, id, window_start) do nothing;
      -- Two that state it at once must not both add it.
      perform 1 from ledger_limits l where l.kind = v_kind and l.id = v_id and l.window_start = v_start for update;
      select p_credits - coalesce(sum(o.credits), 0) into v_more from ledger_openings o
        where o.kind = v_kind and o.limit_id = v_id and o.window_start = v_start and o.source = p_source;
      if v_more <= 0 then return 0; end if;
      insert into ledger_openings (kind, limit_id, window_start, credits, source) values (v_kind, v_id, v_start, v_more, p_source);
      update ledger_limits l set used = l.used + v_more where l.kind = v_kind and l.id = v_id and l.window_start = v_start;
      return v_more;
    end
  $$;
