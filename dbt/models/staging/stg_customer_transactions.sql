-- The tests of every later model compare with the ledger, so it is among their ancestors from here on.
-- depends_on: {{ source("cleaned_data", "published_load") }}
with

transactions as (
    select * from {{ source("cleaned_data", "customer_transactions") }}
),

priced as (
    select
        *,
        (quantity * price)::numeric(28, 4) as subtotal
    from transactions
),

final as (
    select
        transaction_id,
        customer_id,
        product_id,
        product_name,
        transaction_date,
        date_trunc('month', transaction_date)::date as transaction_month,
        extract(year from transaction_date)::integer as transaction_year,
        extract(quarter from transaction_date)::integer as transaction_quarter,
        extract(month from transaction_date)::integer as month_number,
        to_char(transaction_date, 'FMMonth') as month_name,
        to_char(transaction_date, 'FMDay') as day_name,
        quantity,
        price,
        tax,
        subtotal,
        (subtotal + tax)::numeric(28, 4) as total_amount,
        coalesce(quantity <> 0, false) as is_valid_quantity,
        coalesce(price > 0, false) as is_valid_price,
        coalesce(quantity <> 0 and price > 0, false) as is_valid_transaction,
        load_id,
        source_record,
        loaded_at
    from priced
)

select * from final
