{% macro kpi_figure(metric_name, month, numerator, denominator='null', dimension='all', dimension_value="'all'") -%}
    {#-
        The columns of one figure of models/marts/metrics/kpi_values.sql. A figure with a denominator is a ratio.
        `all` stands for the whole; where a dimension has no value, `(none)` does.
    -#}
    cast('{{ metric_name }}' as string) as metric_name,
    {{ month }} as value_month,
    cast('{{ dimension }}' as string) as dimension,
    cast(coalesce({{ dimension_value }}, '(none)') as string) as dimension_value,
    {{ 'false' if denominator == 'null' else 'true' }} as is_ratio,
    cast({{ numerator }} as double) as numerator,
    cast({{ denominator }} as double) as denominator
{%- endmacro %}
