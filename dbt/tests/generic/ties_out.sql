{% test ties_out(model, total, of, of_total) %}
    {#- Two aggregates that must be the same number, to the last decimal. Fails with one row if they differ. -#}
    with

    left_side as (
        select {{ total }} as amount from {{ model }}
    ),

    right_side as (
        select {{ of_total }} as amount from {{ of }}
    )

    select
        left_side.amount as found,
        right_side.amount as expected
    from left_side
    cross join right_side
    where left_side.amount is distinct from right_side.amount
{% endtest %}
