with

transactions as (
    select * from {{ source("cleaned_data", "customer_transactions") }}
),

final as (
    select
        {{ staged_columns() }}
    from transactions
)

select * from final
