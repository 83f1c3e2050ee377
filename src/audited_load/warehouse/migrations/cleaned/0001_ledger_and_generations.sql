-- The first of all: on tables of before there were migrations it makes what they lack.
create sequence if not exists {generation_numbers};

create table if not exists {loads} (
    load_id bigint generated always as identity primary key,
    run_id text not null,
    run_date timestamptz not null,
    generation bigint,
    mode text not null check (mode in ('replace', 'merge')),
    source_name text not null,
    sha256 text not null,
    bytes bigint not null,
    read bigint not null,
    accepted bigint not null,
    quarantined bigint not null,
    duplicates bigint not null,
    superseded bigint not null,
    inserted bigint,
    updated bigint,
    unchanged bigint,
    outdated bigint,
    visible_rows bigint,
    {totals},
    rule_counts jsonb not null,
    reason_counts jsonb not null,
    encoding text not null,
    delimiter text not null,
    header jsonb not null,
    started_at timestamptz not null,
    published_at timestamptz,
    status text not null check (status in ('loading', 'published', 'unchanged', 'rolled_back')),
    previous_load bigint references {loads} (load_id),
    code_version text not null,
    confirmed_for timestamptz,
    unique (run_id, source_name, sha256, code_version),
    check (read = accepted + quarantined + duplicates),
    check (accepted = inserted + updated + unchanged + outdated),
    check ((status in ('published', 'rolled_back')) = (generation is not null and published_at is not null))
);

create table if not exists {generations} (
    {columns},
    loaded_at timestamptz not null,
    load_id bigint not null,
    source_record bigint not null,
    confirmed_by bigint not null,
    generation bigint not null,
    primary key (generation, {key})
) partition by list (generation);

create table if not exists {published} (
    only_row boolean primary key default true check (only_row),
    generation bigint not null,
    load_id bigint not null references {loads} (load_id),
    can_roll_back boolean not null default true,
    changes_since bigint
);

create table if not exists {changes} (
    sign smallint not null check (sign in (-1, 1)),
    {columns},
    loaded_at timestamptz not null,
    load_id bigint not null,
    source_record bigint not null,
    confirmed_by bigint not null,
    generation bigint not null,
    primary key (sign, {key})
);

create table if not exists {lease} (
    only_row boolean primary key default true check (only_row),
    holder text not null,
    expires_at timestamptz not null
);

-- Tables of before marts could be merged.
alter table {published} add column if not exists changes_since bigint;

drop table if exists {replaced};

do $body$ begin
    if not exists (
        select 1 from pg_attribute where attrelid = to_regclass({published_load_name}) and attname = 'changes_since'
    ) then
        drop view if exists {published_load};
        create view {published_load} as
        select loads.*, published.changes_since from {loads} as loads
        inner join {published} as published on loads.load_id = published.load_id;
    end if;
end $body$;
