{% test unique_key(model, column_name, changed) %}
    {#-
        No key is there twice. After a merge, only keys that it touched are looked up: those of all others are of the load
        before, whose marts are published. `changed` has the key of each row that the merge touched.
    -#}
    select
        {{ column_name }} as unique_field,
        count(*) as n_records
    {% if published_set() is none %}
        from {{ model }}
    {% else %}
        from (
            select looked_up.{{ column_name }}
            from (select distinct {{ column_name }} from {{ changed }}) as changed
            {{ look_up(model, "looked_up", "found." ~ column_name ~ " = changed." ~ column_name) }}
        ) as touched
    {% endif %}
    group by {{ column_name }}
    having count(*) > 1
{% endtest %}
