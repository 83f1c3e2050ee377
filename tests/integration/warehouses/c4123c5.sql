-- The statements by which commit c4123c5 made a warehouse.
create table if not exists "cleaned_data"."schema_version" (
    only_row boolean primary key default true check (only_row),
    version integer not null
);

insert into "cleaned_data"."schema_version" (version) values (1) on conflict (only_row) do nothing;

create sequence if not exists "cleaned_data"."generation_numbers";

create table if not exists "cleaned_data"."loads" (
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
    "total_quantity" numeric, "total_gross" numeric, "total_tax" numeric, "visible_quantity" numeric, "visible_gross" numeric, "visible_tax" numeric,
    rule_counts jsonb not null,
    reason_counts jsonb not null,
    encoding text not null,
    delimiter text not null,
    header jsonb not null,
    started_at timestamptz not null,
    published_at timestamptz,
    status text not null check (status in ('loading', 'published', 'unchanged', 'rolled_back')),
    previous_load bigint references "cleaned_data"."loads" (load_id),
    code_version text not null,
    unique (run_id, source_name, sha256, code_version),
    check (read = accepted + quarantined + duplicates),
    check (accepted = inserted + updated + unchanged + outdated),
    check ((status in ('published', 'rolled_back')) = (generation is not null and published_at is not null))
);

create table if not exists "cleaned_data"."customer_transactions_generations" (
    "transaction_id" bigint not null, "customer_id" bigint null, "transaction_date" date not null, "product_id" bigint not null, "product_name" text null, "quantity" integer null, "price" numeric(18, 4) null, "tax" numeric(18, 4) null,
    loaded_at timestamptz not null,
    load_id bigint not null,
    source_record bigint not null,
    confirmed_by bigint not null,
    generation bigint not null,
    primary key (generation, "transaction_id")
) partition by list (generation);

create table if not exists "cleaned_data"."published" (
    only_row boolean primary key default true check (only_row),
    generation bigint not null,
    load_id bigint not null references "cleaned_data"."loads" (load_id),
    can_roll_back boolean not null default true,
    changes_since bigint
);

create table if not exists "cleaned_data"."customer_transactions_changes" (
    sign smallint not null check (sign in (-1, 1)),
    "transaction_id" bigint not null, "customer_id" bigint null, "transaction_date" date not null, "product_id" bigint not null, "product_name" text null, "quantity" integer null, "price" numeric(18, 4) null, "tax" numeric(18, 4) null,
    loaded_at timestamptz not null,
    load_id bigint not null,
    source_record bigint not null,
    confirmed_by bigint not null,
    generation bigint not null,
    primary key (sign, "transaction_id")
);

create table if not exists "cleaned_data"."customer_transactions_rejected_by_load" (
    load_id bigint not null references "cleaned_data"."loads" (load_id),
    source_record bigint not null,
    source_line bigint,
    byte_offset bigint,
    reasons text not null,
    raw_record text not null,
    reject_id uuid not null generated always as (md5(raw_record)::uuid) stored,
    primary key (load_id, source_record)
);

create table if not exists "cleaned_data"."customer_transactions_rejected_closed" (
    reject_id uuid primary key,
    closed_by bigint not null references "cleaned_data"."loads" (load_id),
    seen_by bigint not null,
    closed_at timestamptz not null default now()
);

create table if not exists "cleaned_data"."lease" (
    only_row boolean primary key default true check (only_row),
    holder text not null,
    expires_at timestamptz not null
);

do $body$ begin
    -- Made before the marts could be merged.
    if not exists (
        select 1 from pg_attribute where attrelid = to_regclass('cleaned_data.published') and attname = 'changes_since'
    ) then
        alter table "cleaned_data"."published" add column changes_since bigint;
        drop view if exists "cleaned_data"."published_load";
        drop table if exists "cleaned_data"."customer_transactions_replaced";
    end if;
    if to_regclass('cleaned_data.customer_transactions') is null then
        create view "cleaned_data"."customer_transactions" as
        select "transaction_id", "customer_id", "transaction_date", "product_id", "product_name", "quantity", "price", "tax", "loaded_at", "load_id", "source_record" from "cleaned_data"."customer_transactions_generations"
        where generation = (select generation from "cleaned_data"."published");
    end if;
    if to_regclass('cleaned_data.published_load') is null then
        create view "cleaned_data"."published_load" as
        select loads.*, published.changes_since from "cleaned_data"."loads" as loads
        inner join "cleaned_data"."published" as published on loads.load_id = published.load_id;
        create view "cleaned_data"."customer_transactions_changed" as
        select sign, "transaction_id", "customer_id", "transaction_date", "product_id", "product_name", "quantity", "price", "tax", "loaded_at", "load_id", "source_record" from "cleaned_data"."customer_transactions_changes"
        where (select changes_since from "cleaned_data"."published") is not null;
    end if;
    if to_regclass('cleaned_data.customer_transactions_rejected') is null then
        create view "cleaned_data"."customer_transactions_rejected" as
        with seen as (
            select r.*, l.started_at, l.generation,
                min(l.started_at) over same as first_seen, count(*) over same as times_seen,
                row_number() over (same order by r.load_id desc, r.source_record desc) as nth
            from "cleaned_data"."customer_transactions_rejected_by_load" as r inner join "cleaned_data"."loads" as l using (load_id)
            window same as (partition by r.reject_id)
        )
        select s.reject_id,
            case
                when c.seen_by >= s.load_id and b.status = 'published' then 'closed'
                when s.reasons like 'record:superseded%' then 'superseded'
                when s.reasons like 'record:outdated%' then 'outdated'
                when exists (
                    select 1 from "cleaned_data"."loads" as l
                    where l.load_id > s.load_id and l.mode = 'replace' and l.status = 'published'
                        and l.generation is distinct from s.generation
                ) then 'gone'
                else 'open'
            end as status,
            s.reasons, s.raw_record, s.first_seen, s.started_at as last_seen, s.times_seen,
            s.load_id, s.source_record, s.source_line, s.byte_offset, c.closed_by, c.closed_at
        from seen as s
        left join "cleaned_data"."customer_transactions_rejected_closed" as c on c.reject_id = s.reject_id
        left join "cleaned_data"."loads" as b on b.load_id = c.closed_by
        where s.nth = 1;
        create view "cleaned_data"."quarantine_counts" as
        select status, substring(reasons from '^[^:]*:[^:]*') as reason, count(*) as records,
            min(first_seen) as first_seen, max(last_seen) as last_seen
        from "cleaned_data"."customer_transactions_rejected" group by 1, 2;
    end if;
end $body$;

create table if not exists "cleaned_data"."erasures" (
    erasure_id bigint generated always as identity primary key,
    subject text not null,
    requested_at timestamptz not null default now(),
    finished_at timestamptz,
    counts jsonb not null default '{}'
);

create table if not exists "cleaned_data"."scrubbed_files" (
    sha256 text primary key,
    delivered text not null,
    name text not null,
    records bigint not null,
    scrubbed_at timestamptz not null default now()
);

do $body$ begin
    if to_regclass('operations.rejected_shapes') is null then
        create view operations.rejected_shapes as
        with refused as (
            select l.load_id, r.reasons from "cleaned_data"."loads" as l
            cross join lateral (
                select reasons from "cleaned_data"."customer_transactions_rejected_by_load" where load_id = l.load_id
                order by source_record limit 5000
            ) as r
        ),
        quoted as (
            select load_id, part[1] as column_name, part[2] as refusal, left(coalesce(part[3], ''), 40) as text
            from refused,
                regexp_matches(
                    '; ' || reasons, '; ([a-z_]+?):([a-z_]+?): (?:''(.*?)'' (?=[a-z])|a value is required)', 'g'
                ) as part
        )
        select load_id, column_name, refusal,
            translate(
                regexp_replace(text, '[^] 0-9a-z.,:;/+*()[%#_€£$''"?!=@&-]', 'a', 'gi'),
                'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
                'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9999999999'
            ) as shape,
            count(*) as records
        from quoted group by 1, 2, 3, 4;
    end if;
end $body$;

create table if not exists operations.dbt_test_results (
    invocation_id text not null,
    test_name text not null,
    run_id text,
    model text,
    status text not null,
    failures bigint,
    seconds double precision not null,
    finished_at timestamptz not null default now(),
    primary key (invocation_id, test_name)
);

create index if not exists dbt_test_results_by_time on operations.dbt_test_results (finished_at);
