-- What a reason quotes is masked: letters become a, digits 9; of the rest, only what can't be part of a name stays.
do $body$ begin
    if to_regclass('operations.rejected_shapes') is null then
        create view operations.rejected_shapes as
        with refused as (
            select l.load_id, r.reasons from {loads} as l
            cross join lateral (
                select reasons from {rejects} where load_id = l.load_id
                order by source_record limit {shaped}
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
