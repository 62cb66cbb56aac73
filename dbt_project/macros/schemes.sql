{#- What the schemes are made of: the flags a map may ask for, and the published definitions that are computed. -#}

{% macro scheme_flags() -%}
    {#- Columns of int_lifecycle_stages that a condition of seeds/lifecycle_schemes.csv may name. -#}
    {{ return((var('lifecycle_flags') | map(attribute='id') | list) + ['is_at_risk']) }}
{%- endmacro %}

{% macro lifecycle_state(stages, conditions) -%}
    {#- The stage and those of the flags that are set and asked for: 'churned+is_weighing'. -#}
    concat_ws(
        '+',
        {{ stages }}.stage
        {%- for flag in scheme_flags() %},
        case when {{ conditions }}.asks_{{ flag }} and {{ stages }}.{{ flag }} then '{{ flag }}' end
        {%- endfor %}
    )
{%- endmacro %}

{% macro activity_days() -%}
    {#- PostHog's lifecycle by month: its definition, not a setting. -#}
    {{ return(30) }}
{%- endmacro %}

{% macro amperity_stage(days_since_purchase) -%}
    {#- Amperity's predicted lifecycle, by its table of days since the last purchase; null: never bought. -#}
    case
        when {{ days_since_purchase }} is null then 'prospect'
        when {{ days_since_purchase }} <= 60 then 'active'
        when {{ days_since_purchase }} <= 120 then 'cooling_down'
        when {{ days_since_purchase }} <= 180 then 'at_risk'
        when {{ days_since_purchase }} <= 240 then 'highly_at_risk'
        else 'lost'
    end
{%- endmacro %}

{% macro rate_after_days(rate, days) -%}
    {#- The rate of day `days` of lifecycle_stage_survival; where the last one had left before, that of their day. -#}
    max(case when day_number = {{ days }} or (is_final and day_number < {{ days }}) then {{ rate }} end)
{%- endmacro %}

{% macro text_list(texts, indent) -%}
    (
    {%- for text in texts %}
{{ ' ' * indent }}'{{ text }}'{{ ',' if not loop.last }}
    {%- endfor %}
{{ ' ' * (indent - 4) }})
{%- endmacro %}
