{#- The touched months of a customer, counted anew from the fact by its index; and the growth of the months after them. -#}
{% macro merge_agg_monthly_sales(statement, set_number) %}
    {%- set facts = delta_of(ref("fact_transactions")) -%}
    with

    -- In the order of the indexes, so that a page of them is looked at once.
    changed_months as (
        select distinct {{ keys_agg_monthly_sales() }}
        from ({{ changed_transactions() }}) as changed
        order by 1, 2
    ),

    following_months as (
        select
            customer_id,
            (transaction_month + interval '1 month')::date as transaction_month
        from changed_months
    ),

    -- Of the changed months everything is counted anew; those before and after are as published.
    neighbours as (
        select
            customer_id,
            (transaction_month - interval '1 month')::date as transaction_month
        from changed_months
        union
        select * from following_months
        except
        select * from changed_months
        order by 1, 2
    ),

    transactions as (
        select
            customer_id,
            transaction_month,
            product_id,
            units_sold,
            unit_price,
            gross_amount,
            tax_amount,
            is_valid_transaction
        from {{ facts }}
        where (customer_id, transaction_month) in (select * from changed_months)
        union all
        select
            f.customer_id,
            f.transaction_month,
            f.product_id,
            f.units_sold,
            f.unit_price,
            f.gross_amount,
            f.tax_amount,
            f.is_valid_transaction
        from changed_months
        {{
            look_up(in_set("fact_transactions", set_number), "f", "
                found.customer_id = changed_months.customer_id
                and found.transaction_date >= changed_months.transaction_month
                and found.transaction_date < changed_months.transaction_month + interval '1 month'
            ")
        }}
        left join {{ facts }} as d on f.transaction_id = d.transaction_id
        where d.transaction_id is null
    ),

    {{ cte(statement, "months", "recounted_months") }},

    months as (
        select * from recounted_months
        union all
        select
            published.customer_id,
            published.transaction_month,
            published.transactions,
            published.purchases,
            published.returns,
            published.transactions_without_units,
            published.transactions_without_amount,
            published.transactions_without_tax,
            published.distinct_products,
            published.units_sold,
            published.revenue,
            published.valid_revenue,
            published.tax_amount,
            published.priced_transactions,
            published.price_total,
            published.minimum_price,
            published.maximum_price
        from neighbours
        {{
            look_up(in_set("agg_monthly_sales", set_number), "published", "
                found.customer_id = neighbours.customer_id
                and found.transaction_month = neighbours.transaction_month
            ")
        }}
    ),

    {{ cte(statement, "with_previous") }},

    {{ cte(statement, "compared", "all_compared") }},

    compared as (
        select * from all_compared
        where (customer_id, transaction_month) in (
            select * from changed_months
            union all
            select * from following_months
        )
    ),

    {{ cte(statement, "final") }}

    select * from final
{% endmacro %}

{% macro keys_agg_monthly_sales() %}coalesce(customer_id, -1) as customer_id, transaction_month{% endmacro %}
