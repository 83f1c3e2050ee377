-- An unchanged `replace` counts for its day: what the ledger knows of those is entered.
alter table {loads} add column if not exists confirmed_for timestamptz;

update {loads} as l set confirmed_for = (
    select max(u.run_date) from {loads} as u
    where u.status = 'unchanged' and u.mode = 'replace' and u.load_id > l.load_id
        and (u.sha256, u.code_version) = (l.sha256, l.code_version)
)
where l.status = 'published' and l.mode = 'replace' and l.confirmed_for is null
    and l.generation = (select generation from {published});
