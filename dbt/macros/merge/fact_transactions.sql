{#- The touched rows, and those of customers who reached a tier on another day than was known. -#}
{% macro merge_fact_transactions(statement, set_number) %}
    {%- set published_facts = in_set("fact_transactions", set_number) -%}
    with

    transactions as (
        select * from ({{ changed_transactions() }}) as changed
        where sign = 1
    ),

    {{ cte(statement, "customers") }},

    moved as materialized (
        select now.customer_id
        from {{ delta_of(ref("dim_customers")) }} as now
        inner join {{ in_set("dim_customers", set_number) }} as before on now.customer_id = before.customer_id
        where (now.silver_since, now.gold_since) is distinct from (before.silver_since, before.gold_since)
    ),

    {{ cte(statement, "lines", "changed_lines") }},

    -- The other rows of those customers stay as they are but for the tier.
    lines as (
        select * from changed_lines
        union all
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
            f.total_amount,
            f.net_amount,
            f.is_valid_transaction,
            f.load_id
        from moved
        {{ look_up(published_facts, "f", "found.customer_id = moved.customer_id") }}
        where f.transaction_id not in (select transaction_id from transactions)
    ),

    {{ cte(statement, "final") }}

    select * from final
{% endmacro %}

{% macro keys_fact_transactions() %}transaction_id{% endmacro %}
