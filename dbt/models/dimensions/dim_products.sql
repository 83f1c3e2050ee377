{% set set_number = published_set() %}

with

{% if set_number is not none %}
    changed as (
        select * from ({{ changed_transactions() }}) as changed
    ),

    published as (
        select * from {{ in_set("dim_products", set_number) }}
    ),

    -- Products whose name can't be told from what is published: counted anew, from all their transactions.
    recounted as (
        select distinct changed.product_id
        from changed
        left join published on changed.product_id = published.product_id
        where published.product_id is null
        union
        select published.product_id
        from published
        inner join changed as before on published.named_by = before.transaction_id and before.sign = -1
        inner join changed as now on before.transaction_id = now.transaction_id and now.sign = 1
        where
            (before.product_id, before.product_name, before.transaction_date)
            is distinct from (now.product_id, now.product_name, now.transaction_date)
    ),

    transactions as (
        select * from {{ ref("stg_customer_transactions") }}
        where product_id in (select product_id from recounted)
    ),

    others as (
        select * from changed
        where product_id not in (select product_id from recounted)
    ),

    renamed as (
        select distinct on (others.product_id)
            others.product_id,
            others.product_name,
            others.transaction_date,
            others.transaction_id
        from others
        inner join published on others.product_id = published.product_id
        where
            others.sign = 1
            and others.product_name is not null
            and (
                published.named_by is null
                or (others.transaction_date, others.transaction_id) >= (published.named_on, published.named_by)
            )
        order by others.product_id asc, others.transaction_date desc, others.transaction_id desc
    ),

    prices as (
        select
            product_id,
            price,
            sum(sign) as transactions,
            bool_or(sign = 1) as is_there
        from others
        where price is not null
        group by product_id, price
    ),

    price_ranges as (
        select
            prices.product_id,
            min(prices.price) filter (where prices.is_there) as lowest,
            max(prices.price) filter (where prices.is_there) as highest,
            bool_or(prices.transactions < 0 and prices.price = published.minimum_price) as lost_minimum,
            bool_or(prices.transactions < 0 and prices.price = published.maximum_price) as lost_maximum
        from prices
        inner join published on prices.product_id = published.product_id
        group by prices.product_id
    ),

    adjustments as (
        select
            product_id,
            sum(sign) as transactions,
            coalesce(sum(sign * quantity), 0) as units,
            coalesce(sum(sign * subtotal), 0) as revenue,
            coalesce(sum(sign) filter (where price is not null), 0) as priced,
            coalesce(sum(sign * price), 0) as prices
        from others
        group by product_id
    ),

    adjusted as ( -- noqa: ST03
        select
            published.product_id,
            coalesce(renamed.product_name, published.product_name) as product_name,
            coalesce(renamed.transaction_date, published.named_on) as named_on,
            coalesce(renamed.transaction_id, published.named_by) as named_by,
            (published.times_sold + adjustments.transactions)::bigint as times_sold,
            (published.units_sold + adjustments.units)::bigint as units_sold,
            (published.revenue + adjustments.revenue)::numeric(38, 4) as revenue,
            (published.priced_transactions + adjustments.priced)::bigint as priced_transactions,
            (published.price_total + adjustments.prices)::numeric(38, 4) as price_total,
            least(
                price_ranges.lowest,
                case when price_ranges.lost_minimum then {{ price_that_stays("asc") }} else published.minimum_price end
            ) as minimum_price,
            greatest(
                price_ranges.highest,
                case when price_ranges.lost_maximum then {{ price_that_stays("desc") }} else published.maximum_price end
            ) as maximum_price
        from adjustments
        inner join published on adjustments.product_id = published.product_id
        left join price_ranges on adjustments.product_id = price_ranges.product_id
        left join renamed on adjustments.product_id = renamed.product_id
        -- One whose transactions all went to other products is gone.
        where published.times_sold + adjustments.transactions > 0
    ),
{% else %}
    transactions as (
        select * from {{ ref("stg_customer_transactions") }}
    ),
{% endif %}

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
nothing as ( -- noqa: ST03
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
    {% if set_number is none %}
        select * from nothing
    {% else %}
        select * from adjusted
    {% endif %}
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
