{#-
    Its days are few, and built anew; what would cost a reading of all transactions is the first and the last date. They are
    as published, or changed ones, unless the first or the last month lost transactions and got none.
-#}
{% macro anew_dim_dates(statement, set_number) %}
    with

    touched as (
        select
            min(transaction_date) filter (where sign = 1) as earliest,
            max(transaction_date) filter (where sign = 1) as latest,
            min(transaction_date) filter (where sign = -1) as earliest_gone,
            max(transaction_date) filter (where sign = -1) as latest_gone
        from ({{ changed_transactions() }}) as changed
    ),

    published as (
        select
            min(date_day) as first_day,
            max(date_day) as last_day,
            min(date_day) + interval '1 month' as second_month,
            date_trunc('month', max(date_day)) as last_month
        from {{ in_set("dim_dates", set_number) }}
    ),

    ends as (
        select
            case
                when
                    touched.earliest_gone < published.second_month
                    and coalesce(touched.earliest >= published.second_month, true)
                    then (select min(transaction_date) from {{ ref("stg_customer_transactions") }})
                else least(published.first_day, touched.earliest)
            end as first_date,
            case
                when
                    touched.latest_gone >= published.last_month
                    and coalesce(touched.latest < published.last_month, true)
                    then (select max(transaction_date) from {{ ref("stg_customer_transactions") }})
                else greatest(published.last_day, touched.latest)
            end as last_date
        from touched
        cross join published
    ),

    span as (
        select
            date_trunc('month', first_date) as first_month,
            date_trunc('month', last_date) as last_month
        from ends
    ),

    {{ cte(statement, "days") }},

    {{ cte(statement, "final") }}

    select * from final
{% endmacro %}
