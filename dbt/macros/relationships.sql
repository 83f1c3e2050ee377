{% macro postgres__test_relationships(model, column_name, to, field) %}
    {#-
        The data test of that name. Where both marts are changes to the published set, these are read: rows that change, and
        those that lose what they refer to. All others refer to what they did when the set was tested.
    -#}
    {%- set lost = beside(to, "gone") -%}
    {%- if not are_changes([model, to]) or adapter.get_columns_in_relation(lost) | map(attribute="name") | list != [field] -%}
        {{ return(default__test_relationships(model, column_name, to, field)) }}
    {%- endif -%}
    with

    child as (
        select {{ column_name }} as from_field
        from {{ delta_of(model) }}
        union all
        select rows.{{ column_name }} as from_field
        from {{ model }} as rows
        inner join {{ lost }} as lost on rows.{{ column_name }} = lost.{{ field }}
        -- Asked once, and mostly none is: then the mart is not read, whatever join is expected to be cheap.
        where exists (select 1 from {{ lost }})
    )

    select child.from_field
    from child
    left join {{ to }} as parent on child.from_field = parent.{{ field }}
    where child.from_field is not null and parent.{{ field }} is null
{% endmacro %}

{% macro are_changes(marts) %}
    {#- Whether what stands under these names is changes to the set that readers see. -#}
    {% set set_number = published_set() %}
    {% if set_number is none %}
        {{ return(false) }}
    {% endif %}
    {% set find %}
        select count(*) from {{ builds() }}
        where
            changes_set = {{ set_number }}
            and relation in ({% for mart in marts %}to_regclass('{{ mart }}'){{ ", " if not loop.last }}{% endfor %})
    {% endset %}
    {{ return(run_query(find)[0][0] == marts | length) }}
{% endmacro %}
