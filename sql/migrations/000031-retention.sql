-- How far what is kept for a time has been removed.

create table tollgate.retention (
  what varchar(40) primary key,
  done_until timestamptz not null
);
comment on table tollgate.retention is 'Up to which row, by created_at, the details of charges were removed. Written by forget_details alone.';
