{#- Funnels: what each step of an attempt has in common with the next. -#}

{% macro funnel_step_reached(step_number) -%}
    {#- The earliest event of this step, in attempts that reached the step before it, that is not before that one. -#}
    {%- set before = 'reached_' ~ (step_number - 1) -%}
    select
        {{ before }}.customer_id,
        {{ before }}.funnel_name,
        {{ before }}.began_month,
        {{ before }}.began_at,
        cast({{ step_number }} as bigint) as step_number,
        min(events.occurred_at) as reached_at,
        min({{ before }}.reached_at) as previous_reached_at
    from {{ before }}
    inner join events
        on {{ before }}.customer_id = events.customer_id
        and {{ before }}.funnel_name = events.funnel_name
        and {{ before }}.began_at = events.began_at
        and events.step_number = {{ step_number }}
        and events.occurred_at >= {{ before }}.reached_at
    group by
        {{ before }}.customer_id,
        {{ before }}.funnel_name,
        {{ before }}.began_month,
        {{ before }}.began_at
{%- endmacro %}
