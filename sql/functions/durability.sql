-- When a transaction is on disk. What is answered as done is (settlements, purchases, allocations); a hold or a checkpoint that is lost
-- takes the database and the process dying within the same fraction of a second, and a settlement that finds no hold books in full.

-- This transaction is on disk when it is answered, whatever the database's default is.
create or replace function tollgate.ledger_commit_durably() returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
      end if;
    end
  $$;

-- A movement that is answered is on disk.
create or replace function tollgate.ledger_journal_durable() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      if new.kind in ('purchase', 'allocate', 'refund', 'correction') then perform ledger_commit_durably(); end if;
      return new;
    end
  $$;
