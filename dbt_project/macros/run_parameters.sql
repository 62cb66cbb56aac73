{#- What a run decides once, at intake, and passes to every step: its day, its time zone, its currency. -#}

{% macro as_of_end() -%}
    {#- The first instant after the run's day, in UTC: what is not before it has not happened yet. -#}
    cast('{{ env_var("LIFECYCLE_AS_OF_END", "2100-01-01 00:00:00") }}' as timestamp)
{%- endmacro %}

{% macro as_of_date() -%}
    cast('{{ env_var("LIFECYCLE_AS_OF", "2099-12-31") }}' as date)
{%- endmacro %}

{% macro reporting_timezone() -%}
    '{{ env_var("LIFECYCLE_TIMEZONE", "UTC") }}'
{%- endmacro %}

{% macro reporting_currency() -%}
    '{{ env_var("LIFECYCLE_CURRENCY", "USD") }}'
{%- endmacro %}

{% macro happened(column) -%}
    {#- A time that lies after the run's day is not known yet. -#}
    case when {{ column }} < {{ as_of_end() }} then {{ column }} end
{%- endmacro %}

{% macro exists_as_of() -%}
    {#- Deleted records stay until the moment of their deletion. -#}
    (deleted_at is null or deleted_at >= {{ as_of_end() }})
{%- endmacro %}

{% macro local_date(column) -%}
    {{ local_date_in(column, reporting_timezone()) }}
{%- endmacro %}

{% macro local_month(column) -%}
    cast(date_trunc('month', {{ local_date(column) }}) as date)
{%- endmacro %}

{% macro to_reporting_currency(amount, rate) -%}
    {#-
        Rounded once per line, so that every total above adds up to the cent. 19 digits and the rate's 18 make the 38
        that both engines hold; of two numbers of 18 digits DuckDB keeps 18, and large amounts overflow.
    -#}
    cast(round(cast({{ amount }} as decimal(19, 4)) * {{ rate }}, 2) as decimal(18, 2))
{%- endmacro %}
