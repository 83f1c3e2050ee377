{#-
    Foreign keys are what the constraints of a model's .yml say. They are added after the rows: checking one by one while
    they are written costs twenty times as much. Between a table and a view there can be none; then the key is added, or
    checked, when the marts are published.

    dbt drops a rebuilt table's predecessor with cascade, and with it the keys that lead to it. A mart that is rebuilt alone
    puts them back, if the other is there and fits. When it does not fit, the other is about to be rebuilt too, and
    brings its own key.
-#}
{% macro add_foreign_keys() %}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == "model" and node.config.materialized == "mart" -%}
            {%- for key in foreign_keys_of(node) if this.name in [node.alias, key.parent] -%}
                {%- set child = this.incorporate(path={"identifier": node.alias}) -%}
                {%- set parent = this.incorporate(path={"identifier": key.parent}) -%}
                do $body$ begin
                    if (
                        select count(*) from pg_class
                        where oid in (to_regclass('{{ child }}'), to_regclass('{{ parent }}')) and relkind = 'r'
                    ) = 2
                        and not exists (
                            select 1 from pg_constraint
                            where
                                contype = 'f'
                                and conrelid = to_regclass('{{ child }}')
                                and confrelid = to_regclass('{{ parent }}')
                                and conkey = array(
                                    select a.attnum
                                    from unnest({{ texts(key.columns) }}) with ordinality as k (name, place)
                                    inner join pg_attribute as a on k.name = a.attname and a.attrelid = conrelid
                                    order by k.place
                                )
                        )
                    then
                        alter table {{ child }} add foreign key ({{ key.columns | join(", ") }})
                        references {{ parent }} ({{ key.parent_columns | join(", ") }});
                    end if;
                {%- if this.name == key.parent and this.name != node.alias %}
                exception when foreign_key_violation or undefined_column then
                    null;
                {%- endif %}
                end $body$;
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}

{% macro foreign_keys_of(node) %}
    {#- `to` may be a ref, or the relation it leads to. -#}
    {%- set found = [] -%}
    {%- for constraint in constraints_of(node) if constraint.type == "foreign_key" -%}
        {%- set name = modules.re.findall("\\w+", constraint.to) | last -%}
        {%- set others = graph.nodes.values() | selectattr("resource_type", "equalto", "model") -%}
        {%- set parent = others | selectattr("name", "equalto", name) | map(attribute="alias") | first | default(name) -%}
        {%- do found.append(
            {"columns": constraint.columns, "parent": parent, "parent_columns": constraint.to_columns}
        ) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}
