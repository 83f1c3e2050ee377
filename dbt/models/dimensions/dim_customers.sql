{{ config(post_hook=["analyze {{ this }}", "{{ restore_foreign_keys('customer_id') }}"]) }}

with

transactions as (
    select * from {{ ref("stg_customer_transactions") }}
),

per_customer as (
    select
        customer_id,
        count(*) as lifetime_transactions,
        coalesce(sum(subtotal), 0)::numeric(38, 4) as lifetime_value,
        min(transaction_date) as first_transaction_date,
        max(transaction_date) as last_transaction_date
    from transactions
    where customer_id is not null
    group by customer_id
),

known as (
    select
        customer_id,
        lifetime_transactions,
        lifetime_value,
        first_transaction_date,
        last_transaction_date,
        case
            when lifetime_transactions > 10 then 'Gold'
            when lifetime_transactions > 5 then 'Silver'
            else 'Bronze'
        end as customer_tier,
        case
            when lifetime_value > 10000 then 'High'
            when lifetime_value > 5000 then 'Medium'
            else 'Low'
        end as value_segment
    from per_customer
),

unknown as (
    select
        -1::bigint as customer_id,
        count(*) as lifetime_transactions,
        coalesce(sum(subtotal), 0)::numeric(38, 4) as lifetime_value,
        min(transaction_date) as first_transaction_date,
        max(transaction_date) as last_transaction_date,
        'Unknown' as customer_tier,
        'Unknown' as value_segment
    from transactions
    where customer_id is null
),

final as (
    select * from known
    union all
    select * from unknown
)

select * from final
