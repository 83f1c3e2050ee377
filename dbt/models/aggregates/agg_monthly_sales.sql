with

transactions as (
    select * from {{ ref("fact_transactions") }}
),

months as (
    select
        customer_id,
        transaction_month,
        count(*) as transactions,
        count(*) filter (where units_sold > 0) as purchases,
        count(*) filter (where units_sold < 0) as returns,
        count(*) filter (where units_sold is null) as transactions_without_units,
        count(*) filter (where gross_amount is null) as transactions_without_amount,
        count(*) filter (where tax_amount is null) as transactions_without_tax,
        count(distinct product_id) as distinct_products,
        -- Sums of what is known; null where nothing is.
        sum(units_sold)::bigint as units_sold,
        sum(gross_amount)::numeric(38, 4) as revenue,
        coalesce(sum(gross_amount) filter (where is_valid_transaction), 0)::numeric(38, 4) as valid_revenue,
        sum(tax_amount)::numeric(38, 4) as tax_amount,
        count(unit_price) as priced_transactions,
        coalesce(sum(unit_price), 0)::numeric(38, 4) as price_total,
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
        purchases,
        returns,
        transactions_without_units,
        transactions_without_amount,
        transactions_without_tax,
        distinct_products,
        units_sold,
        revenue,
        valid_revenue,
        tax_amount,
        priced_transactions,
        price_total,
        {{ average_of("price_total", "priced_transactions") }}::numeric(18, 4) as average_price,
        minimum_price,
        maximum_price,
        previous_month_revenue::numeric(38, 4) as previous_month_revenue,
        ({{ growth_percent("revenue", "previous_month_revenue") }})::numeric(38, 2) as revenue_growth_percent
    from compared
)

select * from final
