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

    select
        products.product_id,
        products.product_name,
        products.price_tier,
        products.revenue_segment,
        published_marts.load_id,
        published_marts.published_at
    from {{ source("analytics", "dim_products") }} as products
    cross join {{ source("analytics", "published_marts") }} as published_marts
{% endsnapshot %}
