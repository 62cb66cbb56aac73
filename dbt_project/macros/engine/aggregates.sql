{#- Aggregates, where DuckDB and Spark differ. -#}

{% macro earliest_value(column, moment) -%}
    {#- The value at the earliest moment of a group; of several at that moment the smallest. Neither is ever null. -#}
    {{ adapter.dispatch('earliest_value')(column, moment) }}
{%- endmacro %}
{% macro duckdb__earliest_value(column, moment) -%}
    arg_min({{ column }}, row({{ moment }}, {{ column }}))
{%- endmacro %}
{% macro spark__earliest_value(column, moment) -%}
    min_by({{ column }}, struct({{ moment }}, {{ column }}))
{%- endmacro %}
