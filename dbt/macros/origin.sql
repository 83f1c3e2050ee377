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
        it. Only marts that say the same are published.
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
            'load', before, 'code', '{{ code_of_models() if execute }}', 'changes_set', {{ "null" if set_number is none else set_number }}
        ));
    end
    $body$
{% endmacro %}
