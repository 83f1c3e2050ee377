{% test ties_out(model, totals, of, of_totals) %}
    {#-
        Aggregates of two relations that must be the same numbers, to the last decimal: one row for each that differs.
        All of them in one test, since each test reads the whole table.
    -#}
    with

    left_side as (
        select
            {% for name, total in totals.items() %}{{ total }} as {{ name }}{{ "," if not loop.last }} {% endfor %}
        from {{ model }}
    ),

    right_side as (
        select
            {% for name, total in of_totals.items() %}{{ total }} as {{ name }}{{ "," if not loop.last }} {% endfor %}
        from {{ of }}
    )

    {% for name in totals %}
        select
            '{{ name }}' as total,
            left_side.{{ name }}::{{ exact_numeric() }} as found,
            right_side.{{ name }}::{{ exact_numeric() }} as expected
        from left_side
        cross join right_side
        where left_side.{{ name }}::{{ exact_numeric() }} is distinct from right_side.{{ name }}::{{ exact_numeric() }}
        {{ "union all" if not loop.last }}
    {% endfor %}
{% endtest %}
