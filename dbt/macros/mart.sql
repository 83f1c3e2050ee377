{% materialization mart, adapter="postgres" %}
    {#-
        A table, as the materialization of that name makes it; after a merge, a view of the published mart with the
        rows that change. They lie in `<mart>_delta`, and the keys of those that go in `<mart>_gone`.
    -#}
    {% set set_number = published_set() %}
    {% set delta, gone = delta_of(this), gone_of(this) %}
    {% if set_number is none %}
        {% set built = materialization_table_default() %}
        {% do run_query("drop table if exists " ~ delta ~ ", " ~ gone) %}
        {{ return(built) }}
    {% endif %}

    {% set existing, shown = load_cached_relation(this), this.incorporate(type="view") %}
    {% set columns = model.columns.keys() | map("lower") | join(", ") %}
    {% set keys = config.require("unique_key") %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {% do run_query("drop table if exists " ~ delta ~ ", " ~ gone ~ " cascade") %}
    {% call statement("main") %}
        {{ get_create_table_as_sql(False, delta, sql) }}
    {% endcall %}
    {% call statement("gone") %}
        create table {{ gone }} as
        select distinct {{ keys | join(", ") }}
        from (
            select
                sign, transaction_id, coalesce(customer_id, -1) as customer_id, product_id, transaction_month
            from ({{ changed_transactions() }}) as changed
        ) as touched
        where sign = -1 and not exists (select 1 from {{ delta }} as d where {{ same(keys, "d", "touched") }});
        analyze {{ delta }};
        create view {{ shown }} as
        select {{ columns }} from {{ in_set(this.identifier, set_number) }} as s
        where
            not exists (select 1 from {{ delta }} as d where {{ same(keys, "d", "s") }})
            and not exists (select 1 from {{ gone }} as g where {{ same(keys, "g", "s") }})
        union all
        select {{ columns }} from {{ delta }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [shown]}) }}
{% endmaterialization %}

{% macro same(keys, left, right) %}
    {%- for key in keys %}{{ left }}.{{ key }} = {{ right }}.{{ key }}{{ " and " if not loop.last }}{% endfor -%}
{% endmacro %}
