{% macro as_published(mart) %}
    {#- A mart as readers see it, with the load that it is of; no rows as long as nothing was published. -#}
    {% if not execute or load_relation(source("analytics", mart)) %}
        (
            select
                marts.*,
                published_marts.load_id,
                published_marts.published_at
            from {{ source("analytics", mart) }} as marts
            cross join {{ source("analytics", "published_marts") }} as published_marts
        )
    {% else %}
        (
            select
                marts.*,
                null::bigint as load_id,
                now() as published_at
            from {{ ref(mart) }} as marts
            where false
        )
    {% endif %}
{% endmacro %}
