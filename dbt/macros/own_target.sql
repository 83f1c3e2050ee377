{#-
    Two targets: `dev` is the pipeline's, whose marts are published. In `own`, all that dbt makes lies in one schema beside it:
    marts, histories, the table of builds, results of tests. The cleaned tables are read where they are.
-#}
{% macro is_pipeline() %}
    {{ return(target.name == "dev") }}
{% endmacro %}

{% macro prepare_own_target() %}
    {#-
        What the histories and the results of tests need. Marts of another load than the one that is published now go, since
        they fit to nothing: what refers to them takes the pipeline's.
    -#}
    {%- if execute and not is_pipeline() and flags.WHICH in ("run", "build", "test", "snapshot") -%}
        {%- set load = source("cleaned_data", "published_load").render() -%}
        {%- set find -%}
            select builds.mart
            from {{ builds() }} as builds
            where builds.load_id is distinct from (select published_load.load_id from {{ load }} as published_load)
        {%- endset -%}
        {%- for row in run_query(find) -%}
            {%- set mart = load_relation(api.Relation.create(target.database, target.schema, row[0])) -%}
            {%- if mart -%}
                {%- do log(mart.render() ~ " is not of the published load: dropped", info=True) -%}
                {%- do adapter.drop_relation(mart) -%}
            {%- endif -%}
            {%- do run_query("delete from " ~ builds() ~ " where mart = " ~ dbt.string_literal(row[0])) -%}
        {%- endfor -%}
        create or replace view {{ target.schema }}.published_marts as
        select
            null::bigint as set_number,
            load_id,
            published_at
        from {{ load }};
        create table if not exists {{ test_results() }} (
            invocation_id text not null,
            test_name text not null,
            run_id text,
            model text,
            status text not null,
            failures bigint,
            seconds double precision not null,
            finished_at timestamptz not null default now()
        )
    {%- endif -%}
{% endmacro %}

{% macro test_results() %}
    {{ return(("operations" if is_pipeline() else target.schema) ~ ".dbt_test_results") }}
{% endmacro %}
