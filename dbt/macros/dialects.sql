{#- What DuckDB says in other words than PostgreSQL, for the target `duckdb` (docs/scale.md). -#}
{% macro quotient(dividend, divisor, places) -%}
    {{ adapter.dispatch("quotient")(dividend, divisor, places) }}
{%- endmacro %}

{% macro default__quotient(dividend, divisor, places) -%}
    round({{ dividend }} / {{ divisor }}, {{ places }})
{%- endmacro %}

{% macro duckdb__quotient(dividend, divisor, places) -%}
    {#-
        DuckDB divides decimals as floating-point numbers. Of whole numbers the quotient is exact: both, of at most four
        places, times 10,000; the divisor is not below zero. Half is rounded away from zero, as PostgreSQL does.
    -#}
    {%- set above = "(abs(" ~ dividend ~ ")::decimal(38, 4) * 10000)::hugeint * " ~ 2 * 10 ** places -%}
    {%- set below = "((" ~ divisor ~ ")::decimal(38, 4) * 10000)::hugeint" -%}
    ((sign({{ dividend }}) * (({{ above }} + {{ below }}) // (2 * {{ below }})))::decimal(38, 0) * 1e-{{ places }}::decimal({{ places }}, {{ places }}))
{%- endmacro %}

{% macro exact_numeric() %}{{ adapter.dispatch("exact_numeric")() }}{% endmacro %}

{% macro default__exact_numeric() %}numeric{% endmacro %}

{% macro duckdb__exact_numeric() %}decimal(38, 4){% endmacro %}

{% macro day_name(day) %}{{ adapter.dispatch("day_name")(day) }}{% endmacro %}

{% macro default__day_name(day) %}to_char({{ day }}, 'FMDay'){% endmacro %}

{% macro duckdb__day_name(day) %}dayname({{ day }}){% endmacro %}

{% macro month_name(day) %}{{ adapter.dispatch("month_name")(day) }}{% endmacro %}

{% macro default__month_name(day) %}to_char({{ day }}, 'FMMonth'){% endmacro %}

{% macro duckdb__month_name(day) %}monthname({{ day }}){% endmacro %}
