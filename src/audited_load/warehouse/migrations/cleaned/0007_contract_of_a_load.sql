-- By which contract a file was read, which columns it brought, and how its header differs from what was expected.
alter table {loads}
add column if not exists contract_id text,
add column if not exists contract_version text,
add column if not exists contract_sha256 text,
add column if not exists columns jsonb not null default '[]',
add column if not exists drift jsonb not null default '{{}}';
