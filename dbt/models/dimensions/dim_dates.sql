with

-- Of staging and not of dim_customers, which knows it, too: so the dimensions are built side by side.
span as (
    select
        date_trunc('month', min(transaction_date)) as first_month,
        date_trunc('month', max(transaction_date)) as last_month
    from {{ ref("stg_customer_transactions") }}
),

days as (
    select series.day::date as date_day
    from span
    cross join lateral generate_series(
        span.first_month, span.last_month + interval '1 month' - interval '1 day', interval '1 day'
    ) as series (day)
),

final as (
    select
        date_day,
        extract(day from date_day)::integer as day_of_month,
        extract(isodow from date_day)::integer as day_of_week,
        -- Without TM, names are English whatever the server's locale.
        {{ day_name("date_day") }} as day_name,
        extract(isodow from date_day) > 5 as is_weekend,
        extract(isoyear from date_day)::integer as iso_year,
        extract(week from date_day)::integer as iso_week,
        extract(month from date_day)::integer as month_number,
        {{ month_name("date_day") }} as month_name,
        date_trunc('month', date_day)::date as month_start,
        (date_trunc('month', date_day) + interval '1 month' - interval '1 day')::date as month_end,
        extract(quarter from date_day)::integer as quarter_number,
        date_trunc('quarter', date_day)::date as quarter_start,
        (date_trunc('quarter', date_day) + interval '3 months' - interval '1 day')::date as quarter_end,
        extract(year from date_day)::integer as year_number
    from days
)

select * from final
