{% snapshot customer_history %}
    {{
        config(
            schema="analytics_history",
            unique_key="customer_id",
            strategy="check",
            check_cols=["customer_tier", "value_segment"],
            updated_at="published_at",
            hard_deletes="invalidate",
        )
    }}

    select
        customers.customer_id,
        customers.customer_tier,
        customers.value_segment,
        published_marts.load_id,
        published_marts.published_at
    from {{ source("analytics", "dim_customers") }} as customers
    cross join {{ source("analytics", "published_marts") }} as published_marts
{% endsnapshot %}
