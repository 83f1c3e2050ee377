{% macro staged_columns(cleaned=none) %}
    {#- What staging makes of a cleaned row. Also of the rows before and after a merge: see `changed_transactions`. -#}
    transaction_id,
    customer_id,
    product_id,
    product_name,
    transaction_date,
    date_trunc('month', transaction_date::timestamp)::date as transaction_month,
    date_part('year', transaction_date)::integer as transaction_year,
    date_part('quarter', transaction_date)::integer as transaction_quarter,
    date_part('month', transaction_date)::integer as month_number,
    quantity,
    price,
    tax,
    (quantity * price)::numeric(28, 4) as gross_amount,
    {{ with_tax("+") }}::numeric(28, 4) as total_amount,
    {{ with_tax("-") }}::numeric(28, 4) as net_amount,
    coalesce(quantity <> 0, false) as is_valid_quantity,
    coalesce(price > 0, false) as is_valid_price,
    coalesce(quantity <> 0 and price > 0, false) as is_valid_transaction,
    load_id,
    source_record,
    loaded_at{{ further_columns(cleaned) if cleaned }}
{% endmacro %}

{% macro with_tax(sign) %}
    {#-
        Gross and tax of a line. An unknown part counts as nothing, as it does in sums: so the sum of these is that of gross
        with that of tax, whatever is unknown.
    -#}
    coalesce(quantity * price {{ sign }} tax, quantity * price, {{ sign }}tax)
{%- endmacro %}
