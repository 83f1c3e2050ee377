{#-
    A merge of a day leaves most of the marts as they are. Then macros of a mart, `merge/<mart>.sql`, compute only the rows
    that change, from the marts that readers see and the rows that the merge touched (docs/adr/0011). These macros are
    what they need for it.
-#}
{% macro published_set() %}
    {#-
        The number of the set of marts that the changes are to be applied to; none if everything is to be built.

        Only if the set was built by these very models from the load before the merge, and the merge touched at most
        a fifth of the rows: beyond that, building everything is cheaper.
    -#}
    {% if not execute or flags.FULL_REFRESH or flags.EMPTY or not is_pipeline() %}
        {{ return(none) }}
    {% endif %}
    {% set changed = source("cleaned_data", "customer_transactions_changed") %}
    {% set exist %}
        select
            to_regclass('{{ changed }}') is not null and exists (
                select 1 from pg_attribute
                where attrelid = to_regclass('analytics_sets.published_sets') and attname = 'code'
            )
    {% endset %}
    {% if not run_query(exist)[0][0] %}
        {{ return(none) }}
    {% endif %}
    {% set find %}
        select sets.set_number
        from analytics_sets.published_sets as sets
        inner join {{ source("cleaned_data", "published_load") }} as now on sets.load_id = now.changes_since
        where
            sets.set_number = (select set_number from analytics_sets.published)
            and not sets.is_dropped
            and sets.code = '{{ code_of_models() }}'
            and (select count(*) from {{ changed }}) * 5 <= now.visible_rows
    {% endset %}
    {% set found = run_query(find) %}
    {{ return(found[0][0] if found | length else none) }}
{% endmacro %}

{% macro code_of_models() %}
    {#- Rows of other models don't mix: what tells these models, and the macros that they use, from others. -#}
    {% set parts, macros = [], [] %}
    {% for node in graph.nodes.values() | selectattr("resource_type", "equalto", "model") | sort(attribute="name") %}
        {% do parts.append(node.raw_code) %}
        {% for column in node.columns.values() %}
            {% do parts.append(column.name ~ " " ~ column.data_type) %}
        {% endfor %}
        {% do macros.extend(node.depends_on.macros) %}
        {% for name in ["merge_" ~ node.name, "keys_" ~ node.name, "anew_" ~ node.name] if context[name] %}
            {% do macros.append("macro." ~ project_name ~ "." ~ name) %}
        {% endfor %}
    {% endfor %}
    {% for name in with_their_own(macros) | sort %}
        {% do parts.append(context[name.split(".")[-1]].macro.macro_sql) %}
    {% endfor %}
    {{ return(local_md5(parts | join("\n"))) }}
{% endmacro %}

{% macro with_their_own(names) %}
    {#- Macros of this project, and those of it that they call. -#}
    {% set found = [] %}
    {% for name in names if name.startswith("macro." ~ project_name ~ ".") and name not in found %}
        {% do found.append(name) %}
        {# The list grows while it is read. #}
        {% do names.extend(context[name.split(".")[-1]].macro.depends_on.macros) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{% macro changed_transactions() %}
    {#- The rows that the merge touched, as staging shows them: before it with the sign -1, after it with 1. -#}
    select
        -- Wide, for it is multiplied with the least number that a column can hold, too.
        sign::bigint as sign,
        {{ staged_columns() }}
    from {{ source("cleaned_data", "customer_transactions_changed") }}
{% endmacro %}

{% macro in_set(mart, set_number) %}
    {#- A mart as readers see it now. -#}
    {{ return("analytics_sets." ~ mart ~ "_s" ~ set_number) }}
{% endmacro %}

{% macro beside(relation, suffix) %}
    {#- A table beside a mart: its rows that change (`delta`), the keys of those that go (`gone`). -#}
    {{ return(relation.incorporate(path={"identifier": relation.identifier ~ "_" ~ suffix}, type="table")) }}
{% endmacro %}

{% macro delta_of(relation) %}
    {{ return(beside(relation, "delta")) }}
{% endmacro %}

{% macro look_up(relation, alias, condition) %}
    {#-
        Joins the rows, named `found` in the condition, by an index: row by row. The planner can't know how few they
        are, and would read and hash all of a large mart; it looks no further than `offset 0`.
    -#}
    cross join lateral (select * from {{ relation }} as found where {{ condition }} offset 0) as {{ alias }}
{%- endmacro %}

{% macro cte(statement, name, renamed=none) %}
    {#-
        A named part of a model's statement, word for word, so that a merge repeats no rule. Models are formatted so that
        its last line is the first one that begins with a bracket.
    -#}
    {%- set found = modules.re.search("(?ms)^" ~ name ~ " as \\((.*?)^\\)", statement) -%}
    {%- if not found -%}
        {% do exceptions.raise_compiler_error("The statement of " ~ model.name ~ " has no part `" ~ name ~ " as (`.") %}
    {%- endif -%}
    {{ return((renamed or name) ~ " as (" ~ found.group(1) ~ ")") }}
{% endmacro %}
