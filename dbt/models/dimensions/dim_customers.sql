{% set set_number = published_set() %}

with

{% if set_number is not none %}
    changed as (
        select
            sign,
            coalesce(customer_id, -1) as customer_id,
            transaction_id,
            transaction_date,
            subtotal
        from ({{ changed_transactions() }}) as changed
    ),

    published as (
        select * from {{ in_set("dim_customers", set_number) }}
    ),

    days as (
        select
            customer_id,
            transaction_date,
            sum(sign) as transactions,
            coalesce(sum(sign * subtotal), 0) as value
        from changed
        group by customer_id, transaction_date
    ),

    -- Customers whose dates can't be told from what is published: counted anew, from all their transactions.
    recounted as (
        select distinct days.customer_id
        from days
        left join published on days.customer_id = published.customer_id
        where
            published.customer_id is null
            or (
                days.transactions <> 0 and published.customer_id <> -1
                and days.transaction_date <= coalesce(published.gold_since, 'infinity')
            )
            or (
                days.transactions < 0
                and days.transaction_date in (published.first_transaction_date, published.last_transaction_date)
            )
    ),

    transactions as (
        select
            customer_id,
            transaction_date,
            subtotal
        from changed
        where sign = 1 and customer_id in (select customer_id from recounted)
        union all
        select
            f.customer_id,
            f.transaction_date,
            f.gross_amount as subtotal
        from recounted
        inner join {{ in_set("fact_transactions", set_number) }} as f on recounted.customer_id = f.customer_id
        left join changed on f.transaction_id = changed.transaction_id and changed.sign = -1
        where changed.transaction_id is null
    ),

    adjustments as (
        select
            customer_id,
            sum(transactions) as transactions,
            sum(value) as value,
            min(transaction_date) filter (where transactions > 0) as first_date,
            max(transaction_date) filter (where transactions > 0) as last_date
        from days
        where customer_id not in (select customer_id from recounted)
        group by customer_id
    ),

    adjusted as ( -- noqa: ST03
        select
            published.customer_id,
            (published.lifetime_transactions + adjustments.transactions)::bigint as lifetime_transactions,
            (published.lifetime_value + adjustments.value)::numeric(38, 4) as lifetime_value,
            least(published.first_transaction_date, adjustments.first_date) as first_transaction_date,
            greatest(published.last_transaction_date, adjustments.last_date) as last_transaction_date,
            published.silver_since,
            published.gold_since
        from adjustments
        inner join published on adjustments.customer_id = published.customer_id
    ),
{% else %}
    transactions as (
        select
            coalesce(customer_id, -1) as customer_id,
            transaction_date,
            subtotal
        from {{ ref("stg_customer_transactions") }}
    ),
{% endif %}

counted as (
    select
        customer_id,
        count(*) as lifetime_transactions,
        coalesce(sum(subtotal), 0)::numeric(38, 4) as lifetime_value,
        min(transaction_date) as first_transaction_date,
        max(transaction_date) as last_transaction_date,
        -- By day, so that it doesn't matter which transaction of a day came first.
        (array_agg(transaction_date order by transaction_date))[6] as silver_since,
        (array_agg(transaction_date order by transaction_date))[11] as gold_since
    from transactions
    group by customer_id
),

-- The unknown customer is there even when every transaction names one.
nobody as (
    select
        -1::bigint as customer_id,
        0::bigint as lifetime_transactions,
        0::numeric(38, 4) as lifetime_value,
        null::date as first_transaction_date,
        null::date as last_transaction_date,
        null::date as silver_since,
        null::date as gold_since
    {% if set_number is not none %}
        from recounted
        where recounted.customer_id = -1
    {% endif %}
),

customers as (
    select * from counted
    union all
    select nobody.*
    from nobody
    left join counted on nobody.customer_id = counted.customer_id
    where counted.customer_id is null
    {% if set_number is not none %}
        union all
        select * from adjusted
    {% endif %}
),

final as (
    select
        customer_id,
        lifetime_transactions,
        lifetime_value,
        first_transaction_date,
        last_transaction_date,
        case when customer_id <> -1 then silver_since end as silver_since,
        case when customer_id <> -1 then gold_since end as gold_since,
        case
            when customer_id = -1 then 'Unknown'
            when lifetime_transactions > 10 then 'Gold'
            when lifetime_transactions > 5 then 'Silver'
            else 'Bronze'
        end as customer_tier,
        case
            when customer_id = -1 then 'Unknown'
            when lifetime_value > 10000 then 'High'
            when lifetime_value > 5000 then 'Medium'
            else 'Low'
        end as value_segment
    from customers
)

select * from final
