{#- Rules of the measures that more than one model has; docs/marts.md says them in words. -#}
{% macro unless_all_unknown(total, transactions, unknown) %}
    {#- A sum of what is known; null where none of the transactions knows it, and 0 where there are none. -#}
    case when {{ unknown }} < {{ transactions }} or {{ transactions }} = 0 then {{ total }} end
{%- endmacro %}

{% macro growth_percent(now, before) %}
    {#- Null where either is unknown, or where there is nothing above zero to compare with. -#}
    case when {{ before }} > 0 then {{ quotient("100 * (" ~ now ~ " - " ~ before ~ ")", before, 2) }} end
{%- endmacro %}

{% macro average_of(total, number) %}
    {{ quotient(total, "nullif(" ~ number ~ ", 0)", 4) }}
{%- endmacro %}
