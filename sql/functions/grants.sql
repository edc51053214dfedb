-- Provisional: what the app's role may do.
do $$
begin
  if not exists (select 1 from pg_roles where rolname = 'tollgate_app') then create role tollgate_app nologin; end if;
exception
  when duplicate_object or unique_violation then null;
  when insufficient_privilege then raise warning 'no right to create the role tollgate_app: create it and run tollgate migrate';
end $$;

create or replace function tollgate.grant_roles() returns void
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      if not exists (select 1 from pg_roles where rolname = 'tollgate_app') then return; end if;
      grant usage on schema public, tollgate to tollgate_app;
      grant select on tollgate.migrations, tollgate.function_set to tollgate_app;
      grant select, insert, update, delete on all tables in schema public to tollgate_app;
      grant usage on all sequences in schema public to tollgate_app;
      grant execute on all functions in schema public to tollgate_app;
    end
  $$;
revoke execute on function tollgate.grant_roles from public;
