{% macro further_columns(cleaned) -%}
    {#- Columns of the cleaned table that only some data contracts have: staging shows them as they are. -#}
    {%- set staged = ["transaction_id", "customer_id", "product_id", "product_name", "transaction_date", "quantity", "price",
        "tax", "load_id", "source_record", "loaded_at"] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(cleaned) if column.name not in staged -%}
            , {{ adapter.quote(column.name) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
