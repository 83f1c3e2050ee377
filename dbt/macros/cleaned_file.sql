{% macro read_cleaned_file() %}
    {#-
        For the target `duckdb`: the relations that the load step makes in PostgreSQL, from the folder that
        `customer-pipeline clean` wrote. The types are those of staging; a column that it doesn't declare is text.
    -#}
    {%- if execute and flags.WHICH in ("run", "build", "test") -%}
        {%- set folder = dbt.escape_single_quotes(env_var("CLEANED_FOLDER")) -%}
        {%- set file %}read_csv('{{ folder }}/customer_transactions_cleaned.csv', header = true, all_varchar = true,
            delim = ',', quote = '"', escape = '"', nullstr = ''){% endset -%}
        {%- set declared = graph.nodes["model." ~ project_name ~ ".stg_customer_transactions"].columns -%}
        create schema if not exists cleaned_data;
        create or replace table cleaned_data.customer_transactions as
        select
            {% for column in run_query("select * from " ~ file ~ " limit 0").column_names -%}
            {{ adapter.quote(column) }}::{{ declared[column].data_type if column in declared else "text" }} as {{ adapter.quote(column) }},
            {% endfor -%}
            1::bigint as load_id,
            now() as loaded_at
        from {{ file }};
        create or replace table cleaned_data.published_load as
        select
            1::bigint as load_id,
            accepted::bigint as visible_rows,
            totals.quantity::decimal(38, 4) as visible_quantity,
            totals.gross::decimal(38, 4) as visible_gross,
            totals.tax::decimal(38, 4) as visible_tax
        from read_json('{{ folder }}/report.json');
        create or replace table cleaned_data.customer_transactions_changed as
        select
            1 as sign,
            *
        from cleaned_data.customer_transactions
        where false
    {%- endif -%}
{% endmacro %}
