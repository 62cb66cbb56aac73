-- Grain: one row per customer and interval in which no fact changes and no clock runs out, with its stage and flags.
-- People of one account share its lifecycle, each from when they were first known.

{% set facts = lifecycle_fact_columns() %}

with

facts as (select * from {{ ref('int_lifecycle_facts') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

facts_with_settings as (
    select
        facts.*,
        {{ list_columns(lifecycle_setting_columns(), 'settings') }}
    from facts
    inner join settings on facts.threshold_persona = settings.threshold_persona
),

intervals as (
    {{ split_at_clocks(
        'facts_with_settings',
        lifecycle_rule_clocks(),
        ['lifecycle_id', 'threshold_persona'] + facts + lifecycle_setting_columns()
    ) }}
),

judged as (
    select
        *,
        {{ rule_case_number() }} as rule_case,
        {{ risk_reason_case() }} as possible_risk_reason,
    {%- for flag in var('lifecycle_flags') %}
        {{ compile_condition(flag.condition) }} as {{ flag.id }}{{ ',' if not loop.last }}
    {%- endfor %}
    from intervals
),

judged_in_words as (
    select
        *,
        {{ rule_case_field('rule') }} as rule_id,
        {{ rule_case_field('sign') }} as sign_id,
        {{ rule_case_field('stage') }} as stage
    from judged
),

stages as (
    select
        -- keys
        members.customer_id,
        judged_in_words.lifecycle_id,
        judged_in_words.threshold_persona,
        -- facts
        judged_in_words.rule_id,
        judged_in_words.sign_id,
        judged_in_words.stage,
        coalesce(judged_in_words.is_loyal, false) as is_loyal,
        coalesce(judged_in_words.is_advocate, false) as is_advocate,
        coalesce(judged_in_words.is_expanding, false) as is_expanding,
        coalesce(judged_in_words.is_weighing, false) as is_weighing,
        coalesce(judged_in_words.is_in_cart, false) as is_in_cart,
        coalesce(judged_in_words.is_activated, false) as is_activated,
        judged_in_words.stage not in ('lapsed', 'churned')
        and judged_in_words.possible_risk_reason is not null as is_at_risk,
        case
            when judged_in_words.stage not in ('lapsed', 'churned')
                then judged_in_words.possible_risk_reason
        end as risk_reason,
        -- times
        greatest(judged_in_words.valid_from_at, members.member_since_at) as valid_from_at,
        judged_in_words.valid_to_at,
        -- what was known
        {{ list_columns(facts, 'judged_in_words') }}
    from judged_in_words
    inner join members
        on judged_in_words.lifecycle_id = members.lifecycle_id
        and (
            members.member_since_at is null
            or judged_in_words.valid_to_at is null
            or judged_in_words.valid_to_at > members.member_since_at
        )
)

select * from stages
