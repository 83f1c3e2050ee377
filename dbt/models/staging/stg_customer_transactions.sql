-- The tests of every later model compare with the ledger, and one of this model's looks up what a merge touched: what a
-- test reads has to be among its model's ancestors.
-- depends_on: {{ source("cleaned_data", "published_load") }}
-- depends_on: {{ source("cleaned_data", "customer_transactions_changed") }}
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
