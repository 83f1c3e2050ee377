with

-- Read twice; to keep all of it for that would cost more.
transactions as not materialized (
    select * from {{ ref("stg_customer_transactions") }}
),

per_product as (
    select
        product_id,
        count(*) as times_sold,
        count(*) filter (where quantity > 0) as purchases,
        count(*) filter (where quantity < 0) as returns,
        count(*) filter (where quantity is null) as transactions_without_units,
        count(*) filter (where gross_amount is null) as transactions_without_amount,
        coalesce(sum(quantity), 0) as known_units,
        coalesce(sum(gross_amount), 0) as known_revenue,
        count(price) as priced_transactions,
        coalesce(sum(price), 0)::numeric(38, 4) as price_total,
        min(price)::numeric(18, 4) as minimum_price,
        max(price)::numeric(18, 4) as maximum_price,
        min(transaction_date) as first_transaction_date,
        max(transaction_date) as last_transaction_date,
        max(transaction_date) filter (where product_name is not null) as named_on
    from transactions
    group by product_id
),

-- The name of the latest transaction that has one; the higher transaction_id breaks a tie.
latest_names as (
    select distinct on (transactions.product_id)
        transactions.product_id,
        transactions.product_name,
        transactions.transaction_id as named_by
    from transactions
    inner join per_product
        on transactions.product_id = per_product.product_id and transactions.transaction_date = per_product.named_on
    where transactions.product_name is not null
    order by transactions.product_id asc, transactions.transaction_id desc
),

counted as (
    select
        per_product.*,
        latest_names.product_name,
        latest_names.named_by
    from per_product
    left join latest_names on per_product.product_id = latest_names.product_id
),

-- The unknown product is there, though the supplier always names one.
nothing as (
    select
        -1::bigint as product_id,
        0::bigint as times_sold,
        0::bigint as purchases,
        0::bigint as returns,
        0::bigint as transactions_without_units,
        0::bigint as transactions_without_amount,
        0::bigint as known_units,
        0::numeric as known_revenue,
        0::bigint as priced_transactions,
        0::numeric(38, 4) as price_total,
        null::numeric(18, 4) as minimum_price,
        null::numeric(18, 4) as maximum_price,
        null::date as first_transaction_date,
        null::date as last_transaction_date,
        null::date as named_on,
        null::text as product_name,
        null::bigint as named_by
),

products as (
    select * from counted
    union all
    select * from nothing
),

measured as (
    select
        *,
        ({{ unless_all_unknown("known_units", "times_sold", "transactions_without_units") }})::bigint as units_sold,
        ({{
            unless_all_unknown("known_revenue", "times_sold", "transactions_without_amount")
        }})::numeric(38, 4) as revenue,
        {{ average_of("price_total", "priced_transactions") }}::numeric(18, 4) as average_price
    from products
),

final as (
    select
        product_id,
        product_name,
        named_on,
        named_by,
        times_sold,
        purchases,
        returns,
        transactions_without_units,
        transactions_without_amount,
        units_sold,
        revenue,
        priced_transactions,
        price_total,
        average_price,
        minimum_price,
        maximum_price,
        first_transaction_date,
        last_transaction_date,
        case
            when average_price > 1000 then 'Premium'
            when average_price > 100 then 'Mid-Range'
            when average_price is not null then 'Budget'
            else 'Unknown'
        end as price_tier,
        case
            when product_id = -1 or revenue is null then 'Unknown'
            when revenue > 50000 then 'Top'
            when revenue > 10000 then 'Good'
            else 'Regular'
        end as revenue_segment
    from measured
)

select * from final
