with

transactions as (
    select * from {{ ref("fact_transactions") }}
),

months as (
    select
        customer_id,
        transaction_month,
        count(*) as transactions,
        count(distinct product_id) as distinct_products,
        coalesce(sum(units_sold), 0)::bigint as units_sold,
        coalesce(sum(gross_amount), 0)::numeric(38, 4) as revenue,
        coalesce(sum(tax_amount), 0)::numeric(38, 4) as tax_amount,
        round(avg(unit_price), 4)::numeric(18, 4) as average_price,
        min(unit_price)::numeric(18, 4) as minimum_price,
        max(unit_price)::numeric(18, 4) as maximum_price
    from transactions
    group by customer_id, transaction_month
),

with_previous as (
    select
        *,
        lag(transaction_month) over per_customer as last_month_with_sales,
        lag(revenue) over per_customer as last_revenue
    from months
    window per_customer as (partition by customer_id order by transaction_month)
),

compared as (
    select
        *,
        case
            when last_month_with_sales = (transaction_month - interval '1 month')::date then last_revenue
        end as previous_month_revenue
    from with_previous
),

final as (
    select
        customer_id,
        transaction_month,
        transactions,
        distinct_products,
        units_sold,
        revenue,
        tax_amount,
        average_price,
        minimum_price,
        maximum_price,
        previous_month_revenue::numeric(38, 4) as previous_month_revenue,
        round(
            100 * (revenue - previous_month_revenue) / nullif(abs(previous_month_revenue), 0), 2
        )::numeric(38, 2) as revenue_growth_percent
    from compared
)

select * from final
