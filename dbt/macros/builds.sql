{#-
    The table of builds: one row per mart, of which load and models it is, when it was built, and whether it was tested.
    `publish_marts` reads that of the pipeline, in analytics_sets. dbt makes the table, since it is the first to need it.
-#}
{% macro builds() %}
    {{ return(("analytics_sets" if is_pipeline() else target.schema) ~ ".builds") }}
{% endmacro %}

{% macro make_builds() %}
    {%- if execute and flags.WHICH in ("run", "build", "test", "snapshot") -%}
        do $body$ begin
            if to_regclass('{{ builds() }}') is null then
                -- Tasks side by side would collide on the catalogue.
                perform pg_advisory_xact_lock(hashtext('create {{ builds() }}'));
                create table if not exists {{ builds() }} (
                    mart text primary key,
                    relation oid not null,
                    load_id bigint,
                    code text,
                    changes_set bigint,
                    built_by text not null,
                    begun_at timestamptz not null,
                    built_at timestamptz not null,
                    is_tested boolean not null default false,
                    failed_tests text[] not null default '{}'
                );
            end if;
        end $body$
    {%- endif -%}
{% endmacro %}

{% macro before_build() %}
    {#-
        Before a mart is built: when, and which load the ledger says is published. Who builds all of it reads whole tables:
        in the order of an index that takes longer than sorting, though PostgreSQL expects otherwise, and a row from another
        process costs less than it does. A macro that merges looks rows up, and often no further than the first: a
        bitmap would gather all of them before.
    -#}
    {%- if model.config.materialized == "mart" -%}
        select
            set_config('pipeline.begun_at', clock_timestamp()::text, false),
            set_config('pipeline.load_id', coalesce((
                select load_id::text from {{ source("cleaned_data", "published_load") }}
            ), ''), false)
            {%- if published_set() is none %},
            set_config('enable_indexscan', 'off', true),
            set_config('parallel_tuple_cost', '0.03', true)
            {%- elif context["merge_" ~ model.name] %},
            set_config('enable_bitmapscan', 'off', true)
            {%- endif %}
    {%- endif -%}
{% endmacro %}

{% macro after_build() %}
    {#-
        After it: its keys, its statistics, and its row in the table of builds. If another load was published meanwhile,
        the mart may hold either, and the build fails. The row says which load and models it is of, and the set of marts
        that it changes, if it doesn't replace it. Whether its tests pass is still to be seen.
    -#}
    {%- if model.config.materialized == "mart" -%}
        {{ add_foreign_keys() }}
        do $body$
        declare
            before text := current_setting('pipeline.load_id');
            now_published text := coalesce((
                select load_id::text from {{ source("cleaned_data", "published_load") }}
            ), '');
        begin
            if before <> now_published then
                raise exception 'load % was published while {{ this }} was built from load %', now_published, before;
            end if;
            if (select relkind from pg_class where oid = '{{ this }}'::regclass) = 'r' then
                analyze {{ this }};
            end if;
            insert into {{ builds() }}
                (mart, relation, load_id, code, changes_set, built_by, begun_at, built_at, is_tested)
            values (
                '{{ this.identifier }}',
                '{{ this }}'::regclass,
                nullif(before, '')::bigint,
                '{{ code_of_models() if execute }}',
                {{ published_set() or "null" }},
                '{{ invocation_id }}',
                current_setting('pipeline.begun_at')::timestamptz,
                clock_timestamp(),
                {{ not (execute and data_tests_of(model.unique_id)) }}
            )
            on conflict (mart) do update set (
                relation, load_id, code, changes_set, built_by, begun_at, built_at, is_tested, failed_tests
            ) = row(
                excluded.relation, excluded.load_id, excluded.code, excluded.changes_set, excluded.built_by,
                excluded.begun_at, excluded.built_at, excluded.is_tested, excluded.failed_tests
            );
        end
        $body$
    {%- endif -%}
{% endmacro %}

{% macro note_tests(results) %}
    {#-
        After `dbt test` or `dbt build`: whether all data tests of a mart have passed since it was built, and which of its
        tests have failed since, unit tests too. Tests that began before a mart was built anew say nothing about it. Part of
        the tests can fail a mart, but not pass it.
    -#}
    {%- if execute and flags.WHICH in ("test", "build") -%}
        {%- set rows = [] -%}
        {%- for mart in graph.nodes.values() if mart.resource_type == "model" and mart.config.materialized == "mart" -%}
            {%- set passed, failed = [], [] -%}
            {%- for result in results if is_test_of(result.node, mart.unique_id) and result.status != "skipped" -%}
                {%- set verdict = passed if result.status in ["pass", "success", "warn"] else failed -%}
                {%- do verdict.append(result.node.name) -%}
            {%- endfor -%}
            {%- if passed or failed -%}
                {%- set is_complete = data_tests_of(mart.unique_id) | reject("in", passed) | list | length == 0 -%}
                {%- set row = [dbt.string_literal(mart.alias), is_complete, texts(passed), texts(failed)] -%}
                {%- do rows.append("(" ~ row | join(", ") ~ ")") -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if rows -%}
            update {{ builds() }} as b
            set
                failed_tests = found.failed,
                is_tested = (b.is_tested or found.is_complete) and found.failed = '{}'
            from (
                select
                    builds.mart,
                    results.is_complete,
                    array(
                        select unnest(builds.failed_tests)
                        except select unnest(results.passed)
                        union select unnest(results.failed)
                        order by 1
                    ) as failed
                from {{ builds() }} as builds
                inner join (values {{ rows | join(", ") }}) as results (mart, is_complete, passed, failed)
                    on builds.mart = results.mart
            ) as found
            where
                b.mart = found.mart
                and (b.built_by = '{{ invocation_id }}' or b.built_at <= '{{ run_started_at.isoformat() }}')
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro is_test_of(node, model_id) %}
    {#- A data test beside the model, a test of its own that reads it, or a unit test of it. -#}
    {{ return(node.resource_type in ["test", "unit_test"] and model_id in (
        [node.attached_node or node.tested_node_unique_id]
        if node.attached_node or node.tested_node_unique_id
        else node.depends_on.nodes
    )) }}
{% endmacro %}

{% macro data_tests_of(model_id) %}
    {%- set names = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == "test" and is_test_of(node, model_id) -%}
        {%- do names.append(node.name) -%}
    {%- endfor -%}
    {{ return(names) }}
{% endmacro %}

{% macro texts(values) %}
    {%- set quoted = [] -%}
    {%- for value in values %}{% do quoted.append(dbt.string_literal(dbt.escape_single_quotes(value))) %}{% endfor -%}
    {{ return("array[" ~ quoted | join(", ") ~ "]::text[]") }}
{% endmacro %}
