{% test constraints_hold(model) %}
    {#-
        What the constraints of a mart promise, but for foreign keys, which `relationships` looks up: one row for each that
        is broken. For databases that don't enforce them; PostgreSQL does, and a query more would say nothing more.
    -#}
    {{ config(enabled=target.type != "postgres") }}
    {%- if execute -%}
        {%- set node = graph.nodes.values() | selectattr("resource_type", "equalto", "model")
            | selectattr("alias", "equalto", model.identifier) | first -%}
        {%- set promises = [] -%}
        {%- for constraint in constraints_of(node) -%}
            {%- if constraint.type == "not_null" -%}
                {%- do promises.append(("not null: " ~ constraint.columns[0], constraint.columns[0] ~ " is null")) -%}
            {%- elif constraint.type == "check" -%}
                {%- do promises.append(("check: " ~ constraint.expression, "not (" ~ constraint.expression ~ ")")) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set keys = primary_key_of(node) | join(", ") -%}
        with

        counted as (
            select
                {%- for _, is_broken in promises %}
                count(case when {{ is_broken }} then 1 end) as promise_{{ loop.index }}{{ "," if not loop.last }}
                {%- endfor %}
            from {{ model }}
        ),

        repeated as (
            select {{ keys }}
            from {{ model }}
            group by {{ keys }}
            having count(*) > 1
        )

        select
            'primary key: {{ keys }}' as promise,
            count(*) as number_of_rows
        from repeated
        having count(*) > 0
        {%- for name, _ in promises %}
        union all
        select
            {{ dbt.string_literal(dbt.escape_single_quotes(name)) }} as promise,
            promise_{{ loop.index }} as number_of_rows
        from counted
        where promise_{{ loop.index }} > 0
        {%- endfor %}
    {%- else -%}
        select 1 as promise
    {%- endif -%}
{% endtest %}
