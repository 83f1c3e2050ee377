{#-
    Keys are added after the rows: checking one by one while they are written costs twenty times as much. Between a
    table and a view there can be none; then the key is added, or checked, when the marts are published.
-#}
{% macro add_foreign_key(column, parent) %}
    do $body$ begin
        if (
            select count(*) from pg_class
            where oid in ('{{ this }}'::regclass, '{{ parent }}'::regclass) and relkind = 'r'
        ) = 2 then
            alter table {{ this }}
            add foreign key ({{ column }}) references {{ parent }} ({{ column }});
        end if;
    end $body$
{% endmacro %}

{% macro restore_foreign_key(column) %}
    {#-
        dbt drops a rebuilt table's predecessor with cascade, and with it the fact's foreign key to it.
        A dimension that is rebuilt alone puts the key back, if the fact is there and fits. When it does not
        fit, the fact is about to be rebuilt too, and brings its own key.
    -#}
    do $body$
    begin
        if (
            select count(*) from pg_class
            where oid in ('{{ this }}'::regclass, to_regclass('{{ this.schema }}.fact_transactions')) and relkind = 'r'
        ) = 2
            and not exists (
                select 1 from pg_constraint
                where
                    contype = 'f'
                    and conrelid = to_regclass('{{ this.schema }}.fact_transactions')
                    and confrelid = to_regclass('{{ this }}')
            )
        then
            alter table {{ this.schema }}.fact_transactions
            add foreign key ({{ column }}) references {{ this }} ({{ column }});
        end if;
    exception when foreign_key_violation then
        null;
    end
    $body$
{% endmacro %}

{% macro analyze_table() %}
    do $body$ begin
        if (select relkind from pg_class where oid = '{{ this }}'::regclass) = 'r' then
            analyze {{ this }};
        end if;
    end $body$
{% endmacro %}
