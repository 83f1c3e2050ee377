{% set facts = ref("fact_transactions") %}
{% set set_number = published_set() %}

with

{% if set_number is not none %}
    changed_months as (
        select distinct
            coalesce(customer_id, -1) as customer_id,
            transaction_month
        from ({{ changed_transactions() }}) as changed
    ),

    following_months as (
        select
            customer_id,
            (transaction_month + interval '1 month')::date as transaction_month
        from changed_months
    ),

    -- Of the changed months everything is counted anew; those before and after are as published.
    neighbours as ( -- noqa: ST03
        select
            customer_id,
            (transaction_month - interval '1 month')::date as transaction_month
        from changed_months
        union
        select * from following_months
        except
        select * from changed_months
    ),

    transactions as (
        select
            customer_id,
            transaction_month,
            product_id,
            units_sold,
            unit_price,
            gross_amount,
            tax_amount
        from {{ delta_of(facts) }}
        where (customer_id, transaction_month) in (select * from changed_months)
        union all
        select
            f.customer_id,
            f.transaction_month,
            f.product_id,
            f.units_sold,
            f.unit_price,
            f.gross_amount,
            f.tax_amount
        from changed_months
        {{
            look_up(in_set("fact_transactions", set_number), "f", "
                found.customer_id = changed_months.customer_id
                and found.transaction_date >= changed_months.transaction_month
                and found.transaction_date < changed_months.transaction_month + interval '1 month'
            ")
        }}
        left join {{ delta_of(facts) }} as d on f.transaction_id = d.transaction_id
        where d.transaction_id is null
    ),
{% else %}
    transactions as (
        select * from {{ facts }}
    ),
{% endif %}

per_month as (
    select
        customer_id,
        transaction_month,
        count(*) as transactions,
        count(distinct product_id) as distinct_products,
        coalesce(sum(units_sold), 0)::bigint as units_sold,
        coalesce(sum(gross_amount), 0)::numeric(38, 4) as revenue,
        coalesce(sum(tax_amount), 0)::numeric(38, 4) as tax_amount,
        round(avg(unit_price), 4)::numeric(18, 4) as average_price,
        min(unit_price)::numeric(18, 4) as minimum_price,
        max(unit_price)::numeric(18, 4) as maximum_price
    from transactions
    group by customer_id, transaction_month
),

months as (
    select * from per_month
    {% if set_number is not none %}
        union all
        select
            published.customer_id,
            published.transaction_month,
            published.transactions,
            published.distinct_products,
            published.units_sold,
            published.revenue,
            published.tax_amount,
            published.average_price,
            published.minimum_price,
            published.maximum_price
        from neighbours
        {{
            look_up(in_set("agg_monthly_sales", set_number), "published", "
                found.customer_id = neighbours.customer_id
                and found.transaction_month = neighbours.transaction_month
            ")
        }}
    {% endif %}
),

with_previous as (
    select
        *,
        lag(transaction_month) over per_customer as last_month_with_sales,
        lag(revenue) over per_customer as last_revenue
    from months
    window per_customer as (partition by customer_id order by transaction_month)
),

compared as (
    select
        *,
        case
            when last_month_with_sales = (transaction_month - interval '1 month')::date then last_revenue
        end as previous_month_revenue
    from with_previous
    {% if set_number is not none %}
        where (customer_id, transaction_month) in (
            select * from changed_months
            union all
            select * from following_months
        )
    {% endif %}
),

final as (
    select
        customer_id,
        transaction_month,
        transactions,
        distinct_products,
        units_sold,
        revenue,
        tax_amount,
        average_price,
        minimum_price,
        maximum_price,
        previous_month_revenue::numeric(38, 4) as previous_month_revenue,
        round(
            100 * (revenue - previous_month_revenue) / nullif(abs(previous_month_revenue), 0), 2
        )::numeric(38, 2) as revenue_growth_percent
    from compared
)

select * from final
