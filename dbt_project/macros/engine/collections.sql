{#- Lists and texts, where DuckDB and Spark differ. -#}

{% macro list_median(list) -%}
    {#- The median of a list of doubles; null for an empty one. -#}
    {{ adapter.dispatch('list_median')(list) }}
{%- endmacro %}
{% macro duckdb__list_median(list) -%}
    list_median({{ list }})
{%- endmacro %}
{% macro spark__list_median(list) -%}
    (
        element_at(array_sort({{ list }}), cast(floor((cardinality({{ list }}) + 1) / 2) as int))
        + element_at(array_sort({{ list }}), cast(floor((cardinality({{ list }}) + 2) / 2) as int))
    ) / 2
{%- endmacro %}

{% macro category_level(path, level) -%}
    {#- The first levels of a category path written 'Food > Drinks > Tea'. -#}
    {{ adapter.dispatch('category_level')(path, level) }}
{%- endmacro %}
{% macro duckdb__category_level(path, level) -%}
    array_to_string(list_slice(string_split({{ path }}, ' > '), 1, cast({{ level }} as bigint)), ' > ')
{%- endmacro %}
{% macro spark__category_level(path, level) -%}
    substring_index({{ path }}, ' > ', cast({{ level }} as int))
{%- endmacro %}

{% macro last_known(column, window) -%}
    {#- The last value of a column in a window that is not null. -#}
    {{ adapter.dispatch('last_known')(column, window) }}
{%- endmacro %}
{% macro duckdb__last_known(column, window) -%}
    last_value({{ column }} ignore nulls) over {{ window }}
{%- endmacro %}
{% macro spark__last_known(column, window) -%}
    last_value({{ column }}, true) over {{ window }}
{%- endmacro %}

{% macro short_hash(text) -%}
    {#-
        Twelve letters for any text, 72 bits of its hash: engines keep so short a text in place, and sort and join it
        as fast as a number. Two of ten million texts share one with a chance of one in 94 million.
    -#}
    {{ adapter.dispatch('short_hash')(text) }}
{%- endmacro %}
{% macro duckdb__short_hash(text) -%}
    to_base64(unhex(substr(md5({{ text }}), 1, 18)))
{%- endmacro %}
{% macro spark__short_hash(text) -%}
    base64(unhex(substr(md5({{ text }}), 1, 18)))
{%- endmacro %}

{% macro moments_between(moments, earlier, later) -%}
    {#- The different ones of some moments that lie strictly between two others, in order. -#}
    {{ adapter.dispatch('moments_between')(moments, earlier, later) }}
{%- endmacro %}
{% macro duckdb__moments_between(moments, earlier, later) -%}
    list_sort(list_distinct(list_filter(
        [{{ moments | join(', ') }}], lambda moment: moment > {{ earlier }} and moment < {{ later }}
    )))
{%- endmacro %}
{% macro spark__moments_between(moments, earlier, later) -%}
    array_sort(array_distinct(filter(
        array({{ moments | join(', ') }}), moment -> moment > {{ earlier }} and moment < {{ later }}
    )))
{%- endmacro %}

{% macro unnest_intervals(begin, moments, end, from_column, to_column) -%}
    {#- One row per span between begin, the moments of a list and end: the end of a select list. -#}
    {{ adapter.dispatch('unnest_intervals')(begin, moments, end, from_column, to_column) }}
{%- endmacro %}
{% macro duckdb__unnest_intervals(begin, moments, end, from_column, to_column) -%}
    unnest(list_prepend({{ begin }}, {{ moments }})) as {{ from_column }},
        unnest(list_append({{ moments }}, {{ end }})) as {{ to_column }}
{%- endmacro %}
{% macro spark__unnest_intervals(begin, moments, end, from_column, to_column) -%}
    inline(arrays_zip(
        concat(array({{ begin }}), {{ moments }}), concat({{ moments }}, array({{ end }}))
    )) as ({{ from_column }}, {{ to_column }})
{%- endmacro %}
