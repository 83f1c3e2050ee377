-- The same file may come again in the same run, and is another load then: a published one is never used again.
alter table {loads} drop constraint if exists loads_run_id_source_name_sha256_code_version_key;

create unique index if not exists loads_on_their_way
on {loads} (run_id, source_name, sha256, code_version) where status = 'loading';
