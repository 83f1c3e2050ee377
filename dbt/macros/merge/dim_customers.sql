{#-
    What was published plus the difference; counted anew only where a first or last date, or a tier's day, may have gone.
-#}
{% macro merge_dim_customers(statement, set_number) %}
    with

    changed as (
        select
            sign,
            coalesce(customer_id, -1) as customer_id,
            transaction_id,
            transaction_date,
            quantity,
            gross_amount
        from ({{ changed_transactions() }}) as changed
    ),

    published as (
        select * from {{ in_set("dim_customers", set_number) }}
    ),

    days as (
        select
            customer_id,
            transaction_date,
            sum(sign) as transactions,
            coalesce(sum(sign) filter (where quantity > 0), 0) as purchases,
            coalesce(sum(sign) filter (where quantity < 0), 0) as returns,
            coalesce(sum(sign) filter (where gross_amount is null), 0) as without_amount,
            coalesce(sum(sign * gross_amount), 0) as revenue
        from changed
        group by customer_id, transaction_date
    ),

    -- Customers whose dates can't be told from what is published: counted anew, from all their transactions.
    recounted as (
        select distinct days.customer_id
        from days
        left join published on days.customer_id = published.customer_id
        where
            published.customer_id is null
            or (
                days.transactions <> 0 and published.customer_id <> -1
                and days.transaction_date <= coalesce(published.gold_since, 'infinity')
            )
            or (
                days.transactions < 0
                and days.transaction_date in (published.first_transaction_date, published.last_transaction_date)
            )
    ),

    transactions as (
        select
            customer_id,
            transaction_date,
            quantity,
            gross_amount
        from changed
        where sign = 1 and customer_id in (select customer_id from recounted)
        union all
        select
            f.customer_id,
            f.transaction_date,
            f.units_sold as quantity,
            f.gross_amount
        from recounted
        inner join {{ in_set("fact_transactions", set_number) }} as f on recounted.customer_id = f.customer_id
        left join changed on f.transaction_id = changed.transaction_id and changed.sign = -1
        where changed.transaction_id is null
    ),

    adjustments as (
        select
            customer_id,
            sum(transactions) as transactions,
            sum(purchases) as purchases,
            sum(returns) as returns,
            sum(without_amount) as without_amount,
            sum(revenue) as revenue,
            min(transaction_date) filter (where transactions > 0) as first_date,
            max(transaction_date) filter (where transactions > 0) as last_date
        from days
        where customer_id not in (select customer_id from recounted)
        group by customer_id
    ),

    adjusted as (
        select
            published.customer_id,
            (published.lifetime_transactions + adjustments.transactions)::bigint as lifetime_transactions,
            (published.purchases + adjustments.purchases)::bigint as purchases,
            (published.returns + adjustments.returns)::bigint as returns,
            (published.transactions_without_amount + adjustments.without_amount)::bigint as transactions_without_amount,
            coalesce(published.lifetime_revenue, 0) + adjustments.revenue as known_revenue,
            least(published.first_transaction_date, adjustments.first_date) as first_transaction_date,
            greatest(published.last_transaction_date, adjustments.last_date) as last_transaction_date,
            published.silver_since,
            published.gold_since
        from adjustments
        inner join published on adjustments.customer_id = published.customer_id
    ),

    {{ cte(statement, "counted") }},

    {{ cte(statement, "nobody") }},

    {{ cte(statement, "customers", "counted_customers") }},

    customers as (
        select * from counted_customers
        where customer_id in (select customer_id from recounted)
        union all
        select * from adjusted
    ),

    {{ cte(statement, "valued") }},

    {{ cte(statement, "final") }}

    select * from final
{% endmacro %}

{% macro keys_dim_customers() %}coalesce(customer_id, -1) as customer_id{% endmacro %}
