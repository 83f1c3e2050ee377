-- The tests of every later model compare with the ledger, so it is among their ancestors from here on.
-- depends_on: {{ source("cleaned_data", "published_load") }}
with

transactions as (
    -- Rendered by itself, or `--empty` would leave a view without rows for builds that come after.
    select * from {{ source("cleaned_data", "customer_transactions").render() }}
),

final as (
    select
        {{ staged_columns(source("cleaned_data", "customer_transactions")) }}
    from transactions
)

select * from final
