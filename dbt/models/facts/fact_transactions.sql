{{
    config(
        indexes=[{"columns": ["customer_id", "transaction_date"]}, {"columns": ["product_id", "unit_price"]}]
    )
}}
{% set customers = ref("dim_customers") %}
{% set set_number = published_set() %}

with

transactions as (
    {% if set_number is none %}
        select * from {{ ref("stg_customer_transactions") }}
    {% else %}
        select * from ({{ changed_transactions() }}) as changed
        where sign = 1
    {% endif %}
),

customers as (
    select * from {{ customers }}
),

{% if set_number is not none %}
    -- Customers who reached a tier on another day than was known.
    moved as materialized ( -- noqa: ST03
        select now.customer_id
        from {{ delta_of(customers) }} as now
        inner join {{ in_set("dim_customers", set_number) }} as before on now.customer_id = before.customer_id
        where (now.silver_since, now.gold_since) is distinct from (before.silver_since, before.gold_since)
    ),
{% endif %}

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
        subtotal as gross_amount,
        tax as tax_amount,
        (subtotal - tax)::numeric(28, 4) as net_amount,
        is_valid_transaction,
        load_id
    from transactions
    {% if set_number is not none %}
        union all
        -- Their other rows, which stay as they are but for the tier.
        select
            f.transaction_id,
            f.customer_id,
            f.product_id,
            f.transaction_date,
            f.transaction_month,
            f.transaction_year,
            f.transaction_quarter,
            f.month_number,
            f.units_sold,
            f.unit_price,
            f.gross_amount,
            f.tax_amount,
            f.net_amount,
            f.is_valid_transaction,
            f.load_id
        from moved
        {{ look_up(in_set("fact_transactions", set_number), "f", "found.customer_id = moved.customer_id") }}
        where f.transaction_id not in (select transaction_id from transactions)
    {% endif %}
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
