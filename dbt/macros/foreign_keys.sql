{% macro add_foreign_key(column, parent, parent_column) %}
    {#-
        After the rows: checking one by one while they are written costs twenty times as much. A parent that was
        not built anew is a view of the published one: then the key is added when the set is published.
    -#}
    do $body$ begin
        if (select relkind from pg_class where oid = '{{ parent }}'::regclass) = 'r' then
            alter table {{ this }}
            add foreign key ({{ column }}) references {{ parent }} ({{ parent_column }});
        end if;
    end $body$
{% endmacro %}
