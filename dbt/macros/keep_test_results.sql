{% macro keep_test_results(results) %}
    {#-
        After `dbt test` or `dbt build`: one row per test, for the pipeline's page or a table of the target's own.
        It can't fail the run: without the table, which the load step makes, or without the right, it warns. It only
        inserts, so that tasks side by side don't wait for each other.
    -#}
    {%- if execute and flags.WHICH in ("test", "build") -%}
        {%- set rows = [] -%}
        {%- for result in results if result.node.resource_type == "test" -%}
            {%- set model = (result.node.attached_node or "").split(".") | last -%}
            {%- do rows.append(
                "(" ~ dbt.string_literal(dbt.escape_single_quotes(invocation_id)) ~ ", "
                ~ dbt.string_literal(dbt.escape_single_quotes(result.node.name)) ~ ", nullif("
                ~ dbt.string_literal(dbt.escape_single_quotes(env_var("AIRFLOW_CTX_DAG_RUN_ID", ""))) ~ ", ''), nullif("
                ~ dbt.string_literal(dbt.escape_single_quotes(model)) ~ ", ''), "
                ~ dbt.string_literal(result.status | string) ~ ", "
                ~ (result.failures if result.failures is not none else "null") ~ ", "
                ~ result.execution_time ~ ")"
            ) -%}
        {%- endfor -%}
        {%- if rows -%}
            do $keep$ begin
                insert into {{ test_results() }}
                    (invocation_id, test_name, run_id, model, status, failures, seconds)
                values {{ rows | join(", ") }};
            exception when undefined_table or insufficient_privilege or invalid_schema_name or unique_violation then
                raise warning 'The results of the tests are not kept: %', sqlerrm;
            end $keep$
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
