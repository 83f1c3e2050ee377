with

transactions as (
    select * from {{ ref("stg_customer_transactions") }}
),

-- The name of the latest transaction that has one; the higher transaction_id breaks a tie.
latest_names as (
    select distinct on (product_id)
        product_id,
        product_name,
        transaction_date as named_on,
        transaction_id as named_by
    from transactions
    where product_name is not null
    order by product_id asc, transaction_date desc, transaction_id desc
),

per_product as (
    select
        product_id,
        count(*) as times_sold,
        coalesce(sum(quantity), 0)::bigint as units_sold,
        coalesce(sum(subtotal), 0)::numeric(38, 4) as revenue,
        count(price) as priced_transactions,
        coalesce(sum(price), 0)::numeric(38, 4) as price_total,
        min(price)::numeric(18, 4) as minimum_price,
        max(price)::numeric(18, 4) as maximum_price
    from transactions
    group by product_id
),

counted as (
    select
        per_product.product_id,
        latest_names.product_name,
        latest_names.named_on,
        latest_names.named_by,
        per_product.times_sold,
        per_product.units_sold,
        per_product.revenue,
        per_product.priced_transactions,
        per_product.price_total,
        per_product.minimum_price,
        per_product.maximum_price
    from per_product
    left join latest_names on per_product.product_id = latest_names.product_id
),

-- The unknown product is there, though the supplier always names one.
nothing as (
    select
        -1::bigint as product_id,
        null::text as product_name,
        null::date as named_on,
        null::bigint as named_by,
        0::bigint as times_sold,
        0::bigint as units_sold,
        0::numeric(38, 4) as revenue,
        0::bigint as priced_transactions,
        0::numeric(38, 4) as price_total,
        null::numeric(18, 4) as minimum_price,
        null::numeric(18, 4) as maximum_price
),

products as (
    select * from counted
    union all
    select * from nothing
),

averaged as (
    select
        *,
        round(price_total / nullif(priced_transactions, 0), 4)::numeric(18, 4) as average_price
    from products
),

final as (
    select
        product_id,
        product_name,
        named_on,
        named_by,
        times_sold,
        units_sold,
        revenue,
        priced_transactions,
        price_total,
        average_price,
        minimum_price,
        maximum_price,
        case
            when average_price > 1000 then 'Premium'
            when average_price > 100 then 'Mid-Range'
            when average_price is not null then 'Budget'
            else 'Unknown'
        end as price_tier,
        case
            when product_id = -1 then 'Unknown'
            when revenue > 50000 then 'Top'
            when revenue > 10000 then 'Good'
            else 'Regular'
        end as revenue_segment
    from averaged
)

select * from final
