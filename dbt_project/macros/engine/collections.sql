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

{% macro prepended(item, list) -%}
    {{ adapter.dispatch('prepended')(item, list) }}
{%- endmacro %}
{% macro duckdb__prepended(item, list) -%}
    list_prepend({{ item }}, {{ list }})
{%- endmacro %}
{% macro spark__prepended(item, list) -%}
    concat(array({{ item }}), {{ list }})
{%- endmacro %}

{% macro appended(list, item) -%}
    {{ adapter.dispatch('appended')(list, item) }}
{%- endmacro %}
{% macro duckdb__appended(list, item) -%}
    list_append({{ list }}, {{ item }})
{%- endmacro %}
{% macro spark__appended(list, item) -%}
    concat({{ list }}, array({{ item }}))
{%- endmacro %}

{% macro unnest_together(list, column, other_list, other_column) -%}
    {#- Two lists of equal length side by side, one row per element: the end of a select list. -#}
    {{ adapter.dispatch('unnest_together')(list, column, other_list, other_column) }}
{%- endmacro %}
{% macro duckdb__unnest_together(list, column, other_list, other_column) -%}
    unnest({{ list }}) as {{ column }},
        unnest({{ other_list }}) as {{ other_column }}
{%- endmacro %}
{% macro spark__unnest_together(list, column, other_list, other_column) -%}
    inline(arrays_zip({{ list }}, {{ other_list }})) as ({{ column }}, {{ other_column }})
{%- endmacro %}
