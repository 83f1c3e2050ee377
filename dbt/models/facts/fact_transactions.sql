{{
    config(
        post_hook=[
            "{{ add_foreign_key('customer_id', ref('dim_customers'), 'customer_id') }}",
            "{{ add_foreign_key('product_id', ref('dim_products'), 'product_id') }}",
            "analyze {{ this }}",
        ]
    )
}}

with

transactions as (
    select * from {{ ref("stg_customer_transactions") }}
),

final as (
    select
        transaction_id,
        coalesce(customer_id, -1) as customer_id,
        coalesce(product_id, -1) as product_id,
        transaction_date,
        transaction_month,
        transaction_year,
        transaction_quarter,
        month_number,
        quantity as units_sold,
        price as unit_price,
        subtotal as gross_amount,
        tax as tax_amount,
        (subtotal - tax)::numeric(28, 4) as net_amount,
        is_valid_transaction,
        load_id
    from transactions
)

select * from final
