-- The two group roles. A role belongs to the whole server: another database of it may have made the role, at this very moment perhaps.
-- A user who may not make roles can go on; the operator then makes the role and runs tollgate.grant_roles(). See functions/grants.sql.
do $$
declare v_role text;
begin
  foreach v_role in array array['tollgate_caller', 'tollgate_app'] loop
    begin
      if not exists (select 1 from pg_roles where rolname = v_role) then
        execute format('create role %I nologin', v_role);
      end if;
    exception
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise warning 'no right to create the role %: create it and run tollgate.grant_roles()', v_role;
    end;
  end loop;
end $$;
