{{ config(post_hook=["analyze {{ this }}", "{{ restore_foreign_keys('product_id') }}"]) }}

with

transactions as (
    select * from {{ ref("stg_customer_transactions") }}
),

-- The name of the latest transaction that has one; the higher transaction_id breaks a tie.
latest_names as (
    select distinct on (product_id)
        product_id,
        product_name
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
        round(avg(price), 4)::numeric(18, 4) as average_price,
        min(price)::numeric(18, 4) as minimum_price,
        max(price)::numeric(18, 4) as maximum_price
    from transactions
    group by product_id
),

known as (
    select
        per_product.product_id,
        latest_names.product_name,
        per_product.times_sold,
        per_product.units_sold,
        per_product.revenue,
        per_product.average_price,
        per_product.minimum_price,
        per_product.maximum_price,
        case
            when per_product.average_price > 1000 then 'Premium'
            when per_product.average_price > 100 then 'Mid-Range'
            when per_product.average_price is not null then 'Budget'
            else 'Unknown'
        end as price_tier,
        case
            when per_product.revenue > 50000 then 'Top'
            when per_product.revenue > 10000 then 'Good'
            else 'Regular'
        end as revenue_segment
    from per_product
    left join latest_names on per_product.product_id = latest_names.product_id
),

unknown as (
    select
        -1::bigint as product_id,
        null::text as product_name,
        0::bigint as times_sold,
        0::bigint as units_sold,
        0::numeric(38, 4) as revenue,
        null::numeric(18, 4) as average_price,
        null::numeric(18, 4) as minimum_price,
        null::numeric(18, 4) as maximum_price,
        'Unknown' as price_tier,
        'Unknown' as revenue_segment
),

final as (
    select * from known
    union all
    select * from unknown
)

select * from final
