-- Grain: one row per customer and interval in which no fact changes and no clock runs out, with its stage and flags.

{% set facts = lifecycle_fact_columns() %}

with

facts as (select * from {{ ref('int_lifecycle_facts') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

facts_with_settings as (
    select
        facts.*,
        {{ list_columns(lifecycle_setting_columns(), 'settings') }}
    from facts
    inner join settings on facts.threshold_persona = settings.threshold_persona
),

change_points as (
    select
        customer_id,
        valid_from_at as interval_from_at,
        valid_from_at
    from facts
    union all
    {{ clock_crossings('facts_with_settings', lifecycle_rule_clocks()) }}
),

intervals as (
    select
        customer_id,
        interval_from_at,
        valid_from_at,
        lead(valid_from_at)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as valid_to_at
    from change_points
),

intervals_with_facts as (
    select
        intervals.customer_id,
        facts.threshold_persona,
        facts.event_id,
        intervals.valid_from_at = intervals.interval_from_at as is_event,
        intervals.valid_from_at,
        intervals.valid_to_at,
        {{ list_columns(facts, 'facts') }}
    from intervals
    inner join facts
        on intervals.customer_id = facts.customer_id
        and intervals.interval_from_at = facts.valid_from_at
),

judged as (
    select
        intervals_with_facts.*,
        {{ rule_case('id') }} as rule_id,
        {{ rule_case('stage') }} as stage,
    {%- for flag in var('lifecycle_flags') %}
        {{ compile_condition(flag.condition) }} as {{ flag.id }}{{ ',' if not loop.last }}
    {%- endfor %}
    from intervals_with_facts
    inner join settings using (threshold_persona)
),

stages as (
    select
        -- keys
        customer_id,
        threshold_persona,
        event_id,
        -- facts
        is_event,
        rule_id,
        stage,
        is_loyal,
        is_advocate,
        is_expanding,
        is_overdue,
        is_all_refunded,
        is_quiet,
        is_weighing,
        is_in_cart,
        is_activated,
        stage not in ('lapsed', 'churned')
        and (is_overdue or is_all_refunded or is_quiet) as is_at_risk,
        case
            when stage in ('lapsed', 'churned') then null
            when is_overdue then 'overdue'
            when is_all_refunded then 'all_refunded'
            when is_quiet then 'quiet'
        end as risk_reason,
        -- times
        valid_from_at,
        valid_to_at,
        -- what was known
        {{ list_columns(facts) }}
    from judged
)

select * from stages
