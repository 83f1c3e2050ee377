{% macro remember_load() %}
    {#- Before a mart is built: which load the ledger says is published. -#}
    select set_config('pipeline.load_id', coalesce((
        select load_id::text from {{ source("cleaned_data", "published_load") }}
    ), 'none'), false)
{% endmacro %}

{% macro note_load() %}
    {#-
        After it: if another load was published meanwhile, the mart may hold either. Otherwise the relation says
        which load it was built from, by which models, and the set of marts that it changes, if it doesn't replace
        it. Only marts that say the same, and that passed their data tests since, are published.
    -#}
    {% set set_number = published_set() %}
    do $body$
    declare
        before text := current_setting('pipeline.load_id');
        now_published text := coalesce((
            select load_id::text from {{ source("cleaned_data", "published_load") }}
        ), 'none');
    begin
        if before <> now_published then
            raise exception 'load % was published while {{ this }} was built from load %', now_published, before;
        end if;
        execute format('comment on {{ "table" if set_number is none else "view" }} {{ this }} is %L', json_build_object(
            'load', before,
            'code', '{{ code_of_models() if execute }}',
            'changes_set', {{ "null" if set_number is none else set_number }},
            'built_by', '{{ invocation_id }}',
            'built_at', clock_timestamp()
        ));
    end
    $body$
{% endmacro %}

{% macro note_tests(results) %}
    {#-
        After `dbt test` or `dbt build`: a mart says whether all of its data tests have passed since it was built. Tests
        that began before a mart was built anew say nothing about it. Part of the tests can fail a mart, but not pass it.
    -#}
    {%- if execute and flags.WHICH in ("test", "build") -%}
        {%- set ended = {} -%}
        {%- for result in results -%}
            {%- do ended.update({result.node.unique_id: result.status | string}) -%}
        {%- endfor -%}
        {%- set verdicts = [] -%}
        {%- for mart in graph.nodes.values() if mart.resource_type == "model" and mart.config.materialized == "mart" -%}
            {%- set states = [] -%}
            {%- for test in graph.nodes.values() if test.resource_type == "test" and test.attached_node == mart.unique_id -%}
                {%- do states.append(ended.get(test.unique_id, "absent")) -%}
            {%- endfor -%}
            {%- if "fail" in states or "error" in states -%}
                {%- do verdicts.append("('" ~ mart.name ~ "', false)") -%}
            {%- elif states | reject("in", ["pass", "warn"]) | list | length == 0 -%}
                {%- do verdicts.append("('" ~ mart.name ~ "', true)") -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if verdicts -%}
            do $body$
            declare
                mart record;
            begin
                for mart in
                    select
                        c.oid::regclass as name,
                        case c.relkind when 'v' then 'view' else 'table' end as kind,
                        obj_description(c.oid, 'pg_class')::jsonb as note,
                        verdicts.passed
                    from (values {{ verdicts | join(", ") }}) as verdicts (name, passed)
                    inner join pg_class as c
                        on verdicts.name = c.relname and c.relnamespace = to_regnamespace('{{ target.schema }}')
                    where obj_description(c.oid, 'pg_class') is json object
                loop
                    if
                        mart.note ->> 'built_by' = '{{ invocation_id }}'
                        or (mart.note ->> 'built_at')::timestamptz <= '{{ run_started_at.isoformat() }}'
                    then
                        execute format(
                            'comment on %s %s is %L',
                            mart.kind, mart.name, mart.note || jsonb_build_object('is_tested', mart.passed)
                        );
                    end if;
                end loop;
            end
            $body$
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
