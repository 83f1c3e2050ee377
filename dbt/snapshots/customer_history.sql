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
    -- depends_on: {{ ref("dim_customers") }}
    select
        customer_id,
        customer_tier,
        value_segment,
        load_id,
        published_at
    from {{ as_published("dim_customers") }} as customers
{% endsnapshot %}
