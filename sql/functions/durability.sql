-- When a transaction is on disk. What is reported as done is (settlements, purchases, allocations); a hold or a checkpoint that is lost
-- takes the database and the process dying within the same fraction of a second, and a settlement that finds no hold books in full.

-- This transaction is on disk when its commit is reported, whatever the database's default is.
create or replace function tollgate.ledger_commit_durably() returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
      end if;
    end
  $$;

-- A movement is on disk when its commit is reported.
create or replace function tollgate.ledger_journal_durable() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      if new.kind in ('purchase', 'allocate', 'refund', 'correction') then perform ledger_commit_durably(); end if;
      return new;
    end
  $$;
