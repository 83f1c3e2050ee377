{% macro add_foreign_key(column, parent, parent_column) %}
    {#- After the rows: checking one by one while they are written costs twenty times as much. -#}
    alter table {{ this }}
    add foreign key ({{ column }}) references {{ parent }} ({{ parent_column }})
{% endmacro %}
