{#- What was published plus the difference; counted anew only where a name may have gone. -#}
{% macro merge_dim_products(statement, set_number) %}
    with

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

    adjusted as (
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
                case when price_ranges.lost_minimum then {{ price_that_stays("asc", set_number) }} else published.minimum_price end
            ) as minimum_price,
            greatest(
                price_ranges.highest,
                case when price_ranges.lost_maximum then {{ price_that_stays("desc", set_number) }} else published.maximum_price end
            ) as maximum_price
        from adjustments
        inner join published on adjustments.product_id = published.product_id
        left join price_ranges on adjustments.product_id = price_ranges.product_id
        left join renamed on adjustments.product_id = renamed.product_id
        -- One whose transactions all went to other products is gone.
        where published.times_sold + adjustments.transactions > 0
    ),

    {{ cte(statement, "latest_names") }},

    {{ cte(statement, "per_product") }},

    {{ cte(statement, "counted") }},

    products as (
        select * from counted
        union all
        select * from adjusted
    ),

    {{ cte(statement, "averaged") }},

    {{ cte(statement, "final") }}

    select * from final
{% endmacro %}

{% macro keys_dim_products() %}product_id{% endmacro %}

{% macro price_that_stays(order, set_number) %}
    {#- Of a product's transactions that the merge left alone, the first price in that order; by the fact's index. -#}
    (
        select f.unit_price
        from {{ in_set("fact_transactions", set_number) }} as f
        where
            f.product_id = published.product_id
            and f.unit_price is not null
            and not exists (
                select 1 from {{ source("cleaned_data", "customer_transactions_changed") }} as c
                where c.sign = -1 and c.transaction_id = f.transaction_id
            )
        order by f.unit_price {{ order }}
        limit 1
    )
{% endmacro %}
