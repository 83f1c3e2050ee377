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
            bool_or(prices.transactions < 0 and prices.price = published.minimum_price) as fewer_at_minimum,
            bool_or(prices.transactions < 0 and prices.price = published.maximum_price) as fewer_at_maximum
        from prices
        inner join published on prices.product_id = published.product_id
        group by prices.product_id
    ),

    days as (
        select
            product_id,
            transaction_date,
            sum(sign) as transactions,
            bool_or(sign = 1) as is_there
        from others
        group by product_id, transaction_date
    ),

    date_ranges as (
        select
            days.product_id,
            min(days.transaction_date) filter (where days.is_there) as earliest,
            max(days.transaction_date) filter (where days.is_there) as latest,
            bool_or(days.transactions < 0 and days.transaction_date = published.first_transaction_date) as fewer_at_first,
            bool_or(days.transactions < 0 and days.transaction_date = published.last_transaction_date) as fewer_at_last
        from days
        inner join published on days.product_id = published.product_id
        group by days.product_id
    ),

    -- Mostly another transaction has the same price or date: then what is published stands. Few have to be looked at.
    lost as materialized (
        select
            published.product_id,
            price_ranges.fewer_at_minimum and not {{ is_left("unit_price", "minimum_price", set_number) }} as lost_minimum,
            price_ranges.fewer_at_maximum and not {{ is_left("unit_price", "maximum_price", set_number) }} as lost_maximum,
            date_ranges.fewer_at_first
            and not {{ is_left("transaction_date", "first_transaction_date", set_number) }} as lost_first,
            date_ranges.fewer_at_last
            and not {{ is_left("transaction_date", "last_transaction_date", set_number) }} as lost_last
        from published
        inner join date_ranges on published.product_id = date_ranges.product_id
        left join price_ranges on published.product_id = price_ranges.product_id
    ),

    -- Of products whose lowest or highest has gone: what the merge left alone.
    remaining as (
        select
            lost.product_id,
            min(f.unit_price) as lowest,
            max(f.unit_price) as highest,
            min(f.transaction_date) as earliest,
            max(f.transaction_date) as latest
        from lost
        {{ look_up(in_set("fact_transactions", set_number), "f", "found.product_id = lost.product_id") }}
        where
            (lost.lost_minimum or lost.lost_maximum or lost.lost_first or lost.lost_last)
            and f.transaction_id not in (select transaction_id from changed where sign = -1)
        group by lost.product_id
    ),

    adjustments as (
        select
            product_id,
            sum(sign) as transactions,
            coalesce(sum(sign) filter (where quantity > 0), 0) as purchases,
            coalesce(sum(sign) filter (where quantity < 0), 0) as returns,
            coalesce(sum(sign) filter (where quantity is null), 0) as without_units,
            coalesce(sum(sign) filter (where gross_amount is null), 0) as without_amount,
            coalesce(sum(sign * quantity), 0) as units,
            coalesce(sum(sign * gross_amount), 0) as revenue,
            coalesce(sum(sign) filter (where price is not null), 0) as priced,
            coalesce(sum(sign * price), 0) as prices
        from others
        group by product_id
    ),

    -- In the order of `counted`.
    adjusted as (
        select
            published.product_id,
            (published.times_sold + adjustments.transactions)::bigint as times_sold,
            (published.purchases + adjustments.purchases)::bigint as purchases,
            (published.returns + adjustments.returns)::bigint as returns,
            (published.transactions_without_units + adjustments.without_units)::bigint as transactions_without_units,
            (published.transactions_without_amount + adjustments.without_amount)::bigint as transactions_without_amount,
            (coalesce(published.units_sold, 0) + adjustments.units)::bigint as known_units,
            coalesce(published.revenue, 0) + adjustments.revenue as known_revenue,
            (published.priced_transactions + adjustments.priced)::bigint as priced_transactions,
            (published.price_total + adjustments.prices)::numeric(38, 4) as price_total,
            least(
                price_ranges.lowest,
                case when lost.lost_minimum then remaining.lowest else published.minimum_price end
            ) as minimum_price,
            greatest(
                price_ranges.highest,
                case when lost.lost_maximum then remaining.highest else published.maximum_price end
            ) as maximum_price,
            least(
                date_ranges.earliest,
                case when lost.lost_first then remaining.earliest else published.first_transaction_date end
            ) as first_transaction_date,
            greatest(
                date_ranges.latest,
                case when lost.lost_last then remaining.latest else published.last_transaction_date end
            ) as last_transaction_date,
            coalesce(renamed.transaction_date, published.named_on) as named_on,
            coalesce(renamed.product_name, published.product_name) as product_name,
            coalesce(renamed.transaction_id, published.named_by) as named_by
        from adjustments
        inner join published on adjustments.product_id = published.product_id
        inner join date_ranges on adjustments.product_id = date_ranges.product_id
        inner join lost on adjustments.product_id = lost.product_id
        left join price_ranges on adjustments.product_id = price_ranges.product_id
        left join remaining on adjustments.product_id = remaining.product_id
        left join renamed on adjustments.product_id = renamed.product_id
        -- One whose transactions all went to other products is gone.
        where published.times_sold + adjustments.transactions > 0
    ),

    {{ cte(statement, "per_product") }},

    {{ cte(statement, "latest_names") }},

    {{ cte(statement, "counted") }},

    products as (
        select * from counted
        union all
        select * from adjusted
    ),

    {{ cte(statement, "measured") }},

    {{ cte(statement, "final") }}

    select * from final
{% endmacro %}

{% macro keys_dim_products() %}product_id{% endmacro %}

{% macro is_left(column, extreme, set_number) %}
    {#-
        Whether a transaction that the merge left alone has what is published as the product's lowest or highest: row by
        row, as far as the first that has it. The planner looks no further than `offset 0`.
    -#}
    exists (
        select 1 from {{ in_set("fact_transactions", set_number) }} as f
        where
            f.product_id = published.product_id
            and f.{{ column }} = published.{{ extreme }}
            and f.transaction_id not in (select transaction_id from changed where sign = -1)
        offset 0
    )
{%- endmacro %}
