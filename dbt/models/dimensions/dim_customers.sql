with

transactions as (
    select
        coalesce(customer_id, -1) as customer_id,
        transaction_date,
        quantity,
        gross_amount
    from {{ ref("stg_customer_transactions") }}
),

counted as (
    select
        customer_id,
        count(*) as lifetime_transactions,
        count(*) filter (where quantity > 0) as purchases,
        count(*) filter (where quantity < 0) as returns,
        count(*) filter (where gross_amount is null) as transactions_without_amount,
        coalesce(sum(gross_amount), 0) as known_revenue,
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
        0::bigint as purchases,
        0::bigint as returns,
        0::bigint as transactions_without_amount,
        0::numeric as known_revenue,
        null::date as first_transaction_date,
        null::date as last_transaction_date,
        null::date as silver_since,
        null::date as gold_since
),

customers as (
    select * from counted
    union all
    select nobody.*
    from nobody
    left join counted on nobody.customer_id = counted.customer_id
    where counted.customer_id is null
),

valued as (
    select
        *,
        ({{
            unless_all_unknown("known_revenue", "lifetime_transactions", "transactions_without_amount")
        }})::numeric(38, 4) as lifetime_revenue
    from customers
),

final as (
    select
        customer_id,
        lifetime_transactions,
        purchases,
        returns,
        transactions_without_amount,
        lifetime_revenue,
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
            when customer_id = -1 or lifetime_revenue is null then 'Unknown'
            when lifetime_revenue > 10000 then 'High'
            when lifetime_revenue > 5000 then 'Medium'
            else 'Low'
        end as value_segment
    from valued
)

select * from final
