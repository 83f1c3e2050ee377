{% macro generate_schema_name(custom_schema_name, node) %}
    {#- A schema that a node asks for is that schema, and not one whose name begins with the target's. -#}
    {{ return(((custom_schema_name if is_pipeline()) or target.schema) | trim) }}
{% endmacro %}
