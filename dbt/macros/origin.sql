{% macro remember_load() %}
    {#- Before a mart is built: which load the ledger says is published. -#}
    select set_config('pipeline.load_id', coalesce((
        select load_id::text from {{ source("cleaned_data", "published_load") }}
    ), 'none'), false)
{% endmacro %}

{% macro note_load() %}
    {#-
        After it: if another load was published meanwhile, the mart may hold either. Otherwise the table says
        which load it was built from, and only marts that say the same are published.
    -#}
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
        execute format('comment on table {{ this }} is %L', 'load ' || before);
    end
    $body$
{% endmacro %}
