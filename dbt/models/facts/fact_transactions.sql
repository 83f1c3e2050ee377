{{
    config(
        indexes=[{"columns": ["customer_id", "transaction_date"]}, {"columns": ["product_id"]}]
    )
}}

with

transactions as (
    select * from {{ ref("stg_customer_transactions") }}
),

customers as (
    select * from {{ ref("dim_customers") }}
),

lines as (
    select
        transaction_id,
        coalesce(customer_id, -1) as customer_id,
        product_id,
        transaction_date,
        transaction_month,
        transaction_year,
        transaction_quarter,
        month_number,
        quantity as units_sold,
        price as unit_price,
        gross_amount,
        tax as tax_amount,
        total_amount,
        net_amount,
        is_valid_transaction,
        load_id
    from transactions
),

final as (
    select
        lines.transaction_id,
        lines.customer_id,
        lines.product_id,
        lines.transaction_date,
        lines.transaction_month,
        lines.transaction_year,
        lines.transaction_quarter,
        lines.month_number,
        lines.units_sold,
        lines.unit_price,
        lines.gross_amount,
        lines.tax_amount,
        lines.total_amount,
        lines.net_amount,
        lines.is_valid_transaction,
        case
            when lines.customer_id = -1 then 'Unknown'
            when lines.transaction_date >= customers.gold_since then 'Gold'
            when lines.transaction_date >= customers.silver_since then 'Silver'
            else 'Bronze'
        end as customer_tier_at_transaction,
        lines.load_id
    from lines
    left join customers on lines.customer_id = customers.customer_id
)

select * from final
