-- A generation has a primary key of its own, and all of them together have none: so one that is there keeps its index,
-- and a new one may have another. Partitions are away for a moment, since a key of them all would take theirs along.
do $body$
declare
    own_key text := (select conname from pg_constraint where conrelid = '{generations}'::regclass and contype = 'p');
    part record;
begin
    if own_key is null then
        return;
    end if;
    create temporary table parts on commit drop as
    select i.inhrelid::regclass::text as name, pg_get_expr(c.relpartbound, c.oid) as bound, i.inhdetachpending as leaves
    from pg_inherits as i
    inner join pg_class as c on i.inhrelid = c.oid
    where i.inhparent = '{generations}'::regclass
    order by i.inhdetachpending desc;
    for part in select * from parts loop
        execute format(
            'alter table {generations} detach partition %s %s', part.name, case when part.leaves then 'finalize' end
        );
    end loop;
    execute format('alter table {generations} drop constraint %I', own_key);
    for part in select * from parts where not leaves loop
        execute format('alter table {generations} attach partition %s %s', part.name, part.bound);
    end loop;
end $body$;
