{% macro postgres__get_create_table_as_sql(temporary, relation, sql) %}
    {#-
        The rows first, and then all that the contract says of them, in one statement that reads them once. dbt makes the
        table first and inserts: that checks and indexes row by row, in one process, since PostgreSQL uses several only
        for `create table as`. A column of another type, which the comparison before doesn't tell by its places, becomes
        what the contract says, as it would by inserting. Foreign keys come later: `add_foreign_keys`.

        Each page has room for a few rows that a merge corrects: then it leaves their indexes alone.
    -#}
    {%- if temporary or not config.get("contract").enforced -%}
        {{ return(create_table_as(temporary, relation, sql)) }}
    {%- endif -%}
    {%- set promises = [] -%}
    {%- for column in model.columns.values() -%}
        {%- set name = adapter.quote(column.name) if column.get("quote") else column.name -%}
        {%- do promises.append("alter column " ~ name ~ " type " ~ column.data_type) -%}
        {%- if "not_null" in column.constraints | map(attribute="type") -%}
            {%- do promises.append("alter column " ~ name ~ " set not null") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set others = constraints_of(model) | rejectattr("type", "in", ["not_null", "foreign_key"]) | list -%}
    {%- for constraint in adapter.render_raw_model_constraints(raw_constraints=others) -%}
        {%- do promises.append("add " ~ constraint) -%}
    {%- endfor -%}
    {{ get_assert_columns_equivalent(sql) }}
    {{ config.get("sql_header") or "" }}
    create table {{ relation }} with (fillfactor = 95) as (
        {{ get_select_subquery(sql) }}
    );
    alter table {{ relation }} {{ promises | join(", ") }}
{% endmacro %}

{% macro constraints_of(node) %}
    {#- Whether they stand beside the columns or below the model. -#}
    {%- set found = [] -%}
    {%- for column in node.columns.values() -%}
        {%- for constraint in column.constraints -%}
            {%- do found.append(dict(constraint, columns=[column.name])) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found + node.constraints) }}
{% endmacro %}
