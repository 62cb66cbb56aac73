{#- Dates and times, where DuckDB and Spark differ. All timestamps are UTC. -#}

{% macro local_date_in(column, zone) -%}
    {{ adapter.dispatch('local_date_in')(column, zone) }}
{%- endmacro %}
{% macro duckdb__local_date_in(column, zone) -%}
    cast(timezone({{ zone }}, timezone('UTC', {{ column }})) as date)
{%- endmacro %}
{% macro spark__local_date_in(column, zone) -%}
    cast(from_utc_timestamp({{ column }}, {{ zone }}) as date)
{%- endmacro %}

{% macro local_midnight(day) -%}
    {#- The instant, in UTC, at which a day of the reporting zone begins. -#}
    {{ adapter.dispatch('local_midnight')(day) }}
{%- endmacro %}
{% macro duckdb__local_midnight(day) -%}
    timezone('UTC', timezone({{ reporting_timezone() }}, cast({{ day }} as timestamp)))
{%- endmacro %}
{% macro spark__local_midnight(day) -%}
    to_utc_timestamp(cast({{ day }} as timestamp), {{ reporting_timezone() }})
{%- endmacro %}

{% macro add_days(column, days) -%}
    {#- Elapsed days of 24 hours, fractions allowed, to the second. -#}
    {{ adapter.dispatch('add_days')(column, days) }}
{%- endmacro %}
{% macro duckdb__add_days(column, days) -%}
    ({{ column }} + to_seconds(cast(round(({{ days }}) * 86400) as bigint)))
{%- endmacro %}
{% macro spark__add_days(column, days) -%}
    timestampadd(second, cast(round(({{ days }}) * 86400) as bigint), {{ column }})
{%- endmacro %}

{% macro days_between(earlier, later) -%}
    {#- Elapsed days of 24 hours as a double: fractions count. -#}
    {{ adapter.dispatch('days_between')(earlier, later) }}
{%- endmacro %}
{% macro duckdb__days_between(earlier, later) -%}
    (cast(epoch_us({{ later }}) - epoch_us({{ earlier }}) as double) / 86400000000.0)
{%- endmacro %}
{% macro spark__days_between(earlier, later) -%}
    (cast(unix_micros({{ later }}) - unix_micros({{ earlier }}) as double) / 86400000000.0)
{%- endmacro %}

{% macro calendar_days_between(earlier, later) -%}
    {#- Whole days from one date to another. -#}
    {{ adapter.dispatch('calendar_days_between')(earlier, later) }}
{%- endmacro %}
{% macro duckdb__calendar_days_between(earlier, later) -%}
    cast(date_diff('day', {{ earlier }}, {{ later }}) as bigint)
{%- endmacro %}
{% macro spark__calendar_days_between(earlier, later) -%}
    cast(datediff({{ later }}, {{ earlier }}) as bigint)
{%- endmacro %}

{% macro calendar_months_between(earlier, later) -%}
    {#- Months from one first of a month to another. -#}
    cast((year({{ later }}) - year({{ earlier }})) * 12 + month({{ later }}) - month({{ earlier }}) as bigint)
{%- endmacro %}

{% macro local_hour(column) -%}
    {#- The hour of a UTC timestamp on the clocks of the reporting zone, 0 to 23. -#}
    {{ adapter.dispatch('local_hour')(column) }}
{%- endmacro %}
{% macro duckdb__local_hour(column) -%}
    cast(hour(timezone({{ reporting_timezone() }}, timezone('UTC', {{ column }}))) as bigint)
{%- endmacro %}
{% macro spark__local_hour(column) -%}
    cast(hour(from_utc_timestamp({{ column }}, {{ reporting_timezone() }})) as bigint)
{%- endmacro %}

{% macro iso_weekday(day) -%}
    {#- 1 for Monday to 7 for Sunday. -#}
    {{ adapter.dispatch('iso_weekday')(day) }}
{%- endmacro %}
{% macro duckdb__iso_weekday(day) -%}
    cast(isodow({{ day }}) as bigint)
{%- endmacro %}
{% macro spark__iso_weekday(day) -%}
    cast(weekday({{ day }}) + 1 as bigint)
{%- endmacro %}
