-- A record is known by the loads that readers see; its status is derived when it is read (docs/adr/0010).
create table if not exists {rejects} (
    load_id bigint not null references {loads} (load_id),
    source_record bigint not null,
    source_line bigint,
    byte_offset bigint,
    reasons text not null,
    raw_record text not null,
    reject_id uuid not null generated always as (md5(raw_record)::uuid) stored,
    primary key (load_id, source_record)
);

create table if not exists {closed} (
    reject_id uuid primary key,
    closed_by bigint not null references {loads} (load_id),
    seen_by bigint not null,
    closed_at timestamptz not null default now()
);

-- What an earlier one noted was of a replay under way, which is to be given again.
drop table if exists {replays};

create table {replays} (
    sha256 text not null,
    reject_id uuid not null,
    key text not null,
    primary key (sha256, reject_id, key)
);

drop view if exists {quarantine_counts}, {quarantine};

create view {quarantine} as
with seen as (
    select r.*, l.status as load_status, l.generation, coalesce(l.published_at, l.started_at) as seen_at,
        p.generation is not null as is_visible,
        min(l.started_at) over same as first_seen, max(l.started_at) over same as last_seen,
        count(*) over same as times_seen,
        row_number() over (
            same
            order by
                p.generation is not null desc, coalesce(l.published_at, l.started_at) desc, r.load_id desc,
                r.source_record desc
        ) as nth
    from {rejects} as r
    inner join {loads} as l using (load_id)
    left join {published} as p on l.generation = p.generation and l.status = 'published'
    window same as (partition by r.reject_id)
)
select s.reject_id,
    case
        when c.closed_at >= s.seen_at and b.status = 'published'
            -- A later `replace` sweeps the copy away.
            and (b.generation = s.generation or not s.is_visible) then 'closed'
        when s.reasons like 'record:superseded%' then 'superseded'
        when s.reasons like 'record:outdated%' then 'outdated'
        when s.is_visible then 'open'
        when s.load_status = 'published' then 'gone'
        else 'unpublished'
    end as status,
    s.reasons, s.raw_record, s.first_seen, s.last_seen, s.times_seen,
    s.load_id, s.source_record, s.source_line, s.byte_offset, c.closed_by, c.closed_at, s.is_visible
from seen as s
left join {closed} as c on c.reject_id = s.reject_id
left join {loads} as b on b.load_id = c.closed_by
where s.nth = 1;

create view {quarantine_counts} as
select status, substring(reasons from '^[^:]*:[^:]*') as reason, count(*) as records,
    min(first_seen) as first_seen, max(last_seen) as last_seen
from {quarantine} group by 1, 2;
