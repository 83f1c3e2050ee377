{% snapshot product_history %}
    {{
        config(
            schema="analytics_history",
            unique_key="product_id",
            strategy="check",
            check_cols=["product_name", "price_tier", "revenue_segment"],
            updated_at="published_at",
            hard_deletes="invalidate",
        )
    }}
    -- depends_on: {{ ref("dim_products") }}
    select
        product_id,
        product_name,
        price_tier,
        revenue_segment,
        load_id,
        published_at
    from {{ as_published("dim_products") }} as products
{% endsnapshot %}
