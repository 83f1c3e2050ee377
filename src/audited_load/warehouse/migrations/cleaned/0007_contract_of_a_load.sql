-- By which contract a file was read, which columns it brought, and how its header differs from what was expected.
alter table {loads}
add column contract_id text,
add column contract_version text,
add column contract_sha256 text,
add column columns jsonb not null default '[]',
add column drift jsonb not null default '{{}}';
