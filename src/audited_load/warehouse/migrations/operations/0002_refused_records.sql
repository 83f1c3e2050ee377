-- A reason is taken for one only if the load has counted it: a value may hold a text that looks like a reason.
create or replace view operations.refused_records as
with refused as (
    select l.load_id, l.reason_counts, r.source_record, r.source_line, left(r.reject_id::text, 8) as reject_id, r.reasons
    from {loads} as l inner join {rejects} as r on l.load_id = r.load_id
),
quoted as (
    select load_id, reason_counts, source_record, source_line, reject_id, part[1] as column_name, part[2] as refusal,
        left(coalesce(part[3], ''), 40) as text
    from refused,
        regexp_matches(
            '; ' || reasons, '; ([a-z][a-z0-9_]*?):([a-z][a-z0-9_]*?): (?:''(.*?)'' (?=[a-z])|(?=[^'']))', 'g'
        ) as part
)
select load_id, source_record, source_line, reject_id, column_name, refusal,
    -- Letters become a, digits 9; of the rest, only what can't be part of a name stays.
    translate(
        regexp_replace(text, '[^] 0-9a-z.,:;/+*()[%#_€£$''"?!=@&-]', 'a', 'gi'),
        'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
        'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9999999999'
    ) as shape
from quoted
-- A merge finds out what is outdated after the file was counted.
where jsonb_exists(reason_counts, column_name || ':' || refusal)
    or (column_name, refusal) = ('record', 'outdated');

create or replace view operations.rejected_shapes as
select l.load_id, r.column_name, r.refusal, r.shape, count(*) as records
from {loads} as l
cross join lateral (
    select column_name, refusal, shape from operations.refused_records
    where load_id = l.load_id and column_name <> 'record'
    order by source_record limit {shaped}
) as r
group by 1, 2, 3, 4;
