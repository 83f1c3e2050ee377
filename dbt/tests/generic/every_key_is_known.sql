{% test every_key_is_known(model, column, parent) %}
    {#- The foreign key promises this; the test catches the day on which the key itself is gone. -#}
    select child.{{ column }}
    from {{ model }} as child
    left join {{ parent }} as parent on child.{{ column }} = parent.{{ column }}
    where parent.{{ column }} is null
{% endtest %}
