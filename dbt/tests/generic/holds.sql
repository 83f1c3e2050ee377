{% test holds(model, expression) %}
    {#- A business identity that is true of every row; null counts as broken. -#}
    select *
    from {{ model }}
    where ({{ expression }}) is not true
{% endtest %}
