{% macro price_that_stays(order) %}
    {#- Of a product's transactions that the merge left alone, the first price in that order; by the fact's index. -#}
    (
        select f.unit_price
        from {{ in_set("fact_transactions", published_set()) }} as f
        where
            f.product_id = published.product_id
            and f.unit_price is not null
            and not exists (
                select 1 from {{ source("cleaned_data", "customer_transactions_changed") }} as c
                where c.sign = -1 and c.transaction_id = f.transaction_id
            )
        order by f.unit_price {{ order }}
        limit 1
    )
{% endmacro %}
