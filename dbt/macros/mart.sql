{% materialization mart, adapter="postgres" %}
    {#-
        A table, as the materialization of that name makes it; after a merge, a view of the published mart with the
        rows that change. They lie in `<mart>_delta`, and the keys of those that go in `<mart>_gone`. Macros of the mart,
        `merge/<mart>.sql`, compute them; without, it is built anew, by its own statement or by the one that a macro
        there says instead, and compared with what is published.
    -#}
    {% set keys, set_number = primary_key_of(model), published_set() %}
    {% set delta, gone, whole = beside(this, "delta"), beside(this, "gone"), beside(this, "whole") %}
    {% if set_number is none %}
        {% set built = materialization_table_default() %}
        {% do run_query("drop table if exists " ~ delta ~ ", " ~ gone) %}
        {{ return(built) }}
    {% endif %}

    {% set existing, shown = load_cached_relation(this), this.incorporate(type="view") %}
    {% set columns = model.columns.keys() | map("lower") | join(", ") %}
    {% set published = in_set(this.identifier, set_number) %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {% do run_query("drop table if exists " ~ delta ~ ", " ~ gone ~ ", " ~ whole ~ " cascade") %}
    {% set merge, anew = context["merge_" ~ model.name], context["anew_" ~ model.name] %}
    {% if merge %}
        {% call statement("main") %}
            {{ get_create_table_as_sql(False, delta, merge(sql, set_number)) }}
        {% endcall %}
        {% call statement("gone") %}
            create table {{ gone }} as
            select distinct {{ keys | join(", ") }}
            from (
                select {{ context["keys_" ~ model.name]() }}
                from ({{ changed_transactions() }}) as changed
                where sign = -1
            ) as touched
            where not exists (select 1 from {{ delta }} as d where {{ same(keys, "d", "touched") }})
        {% endcall %}
    {% else %}
        {% call statement("main") %}
            {{ get_create_table_as_sql(False, whole, anew(sql, set_number) if anew else sql) }}
        {% endcall %}
        {% call statement("gone") %}
            create table {{ delta }} as
            select {{ columns }} from {{ whole }} except select {{ columns }} from {{ published }};
            create table {{ gone }} as
            select {{ keys | join(", ") }} from {{ published }} as s
            where not exists (select 1 from {{ whole }} as w where {{ same(keys, "w", "s") }});
            drop table {{ whole }}
        {% endcall %}
    {% endif %}
    {% call statement("shown") %}
        analyze {{ delta }};
        create view {{ shown }} as
        select {{ columns }} from {{ published }} as s
        where
            not exists (select 1 from {{ delta }} as d where {{ same(keys, "d", "s") }})
            and not exists (select 1 from {{ gone }} as g where {{ same(keys, "g", "s") }})
        union all
        select {{ columns }} from {{ delta }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do apply_grants(shown, config.get("grants"), should_revoke=False) %}
    {% do persist_docs(shown, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [shown]}) }}
{% endmaterialization %}

{% macro primary_key_of(node) %}
    {#- The columns of the primary key that the constraints say: by it a merge tells rows apart. -#}
    {%- set found = [] -%}
    {%- for constraint in node.constraints if constraint.type == "primary_key" -%}
        {%- do found.extend(constraint.columns) -%}
    {%- endfor -%}
    {%- for column in node.columns.values() if "primary_key" in column.constraints | map(attribute="type") -%}
        {%- do found.append(column.name) -%}
    {%- endfor -%}
    {%- if not found -%}
        {% do exceptions.raise_compiler_error(
            node.name ~ " has no primary key. Add to its .yml: constraints: [{type: primary_key, columns: [COLUMN]}]"
        ) %}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}

{% macro same(keys, left, right) %}
    {%- for key in keys %}{{ left }}.{{ key }} = {{ right }}.{{ key }}{{ " and " if not loop.last }}{% endfor -%}
{% endmacro %}
