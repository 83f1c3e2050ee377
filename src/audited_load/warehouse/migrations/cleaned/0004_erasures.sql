-- Who was erased, and which files were scrubbed.
create table if not exists {erasures} (
    erasure_id bigint generated always as identity primary key,
    subject text not null,
    requested_at timestamptz not null default now(),
    finished_at timestamptz,
    counts jsonb not null default '{{}}'
);

alter table {erasures} add column if not exists requested_by text;

create table if not exists {scrubbed_files} (
    sha256 text primary key,
    delivered text not null,
    name text not null,
    records bigint not null,
    scrubbed_at timestamptz not null default now()
);
