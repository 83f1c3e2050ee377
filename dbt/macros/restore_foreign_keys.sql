{% macro restore_foreign_keys(column) %}
    {#-
        dbt drops a rebuilt table's predecessor with cascade, and with it the fact's foreign key to it.
        A dimension that is rebuilt alone puts the key back, if the fact is there and fits. When it does not
        fit, the fact is about to be rebuilt too, and brings its own key.
    -#}
    do $body$
    begin
        if (
            select relkind from pg_class
            where oid = to_regclass('{{ this.schema }}.fact_transactions')
        ) = 'r'
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
