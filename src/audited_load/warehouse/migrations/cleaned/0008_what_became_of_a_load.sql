-- What became of a load that readers never saw, what to do about it, and by whom and with which words it was asked for.
alter table {loads}
add column if not exists failure text,
add column if not exists remedy text,
add column if not exists ended_at timestamptz,
add column if not exists started_by text,
add column if not exists params jsonb not null default '{{}}',
add column if not exists run_started_at timestamptz;

alter table {loads} drop constraint if exists loads_status_check;

alter table {loads} add constraint loads_status_check
check (status in ('loading', 'published', 'unchanged', 'rolled_back', 'refused', 'failed'));

alter table {loads} drop constraint if exists loads_failure_check;

alter table {loads} add constraint loads_failure_check
check ((status in ('refused', 'failed')) = (failure is not null and ended_at is not null));

drop index if exists {schema}.loads_on_their_way;

create unique index if not exists loads_on_their_way
on {loads} (run_id, source_name, sha256, code_version) where status in ('loading', 'refused', 'failed');
