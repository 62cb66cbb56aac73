{% macro segment_intervals(segment_name, condition, entry_sentence, exit_sentence=none) -%}
    {#-
        A segment as intervals, computed from history as stages are.

        `condition` is written over the columns of int_lifecycle_stages (stage, flags, facts) and the thresholds, with
        within() and expired() for clocks. `entry_sentence` says why somebody is in; without an `exit_sentence` the
        reason for leaving is what the lifecycle rules say of the moment of leaving.
    -#}
    {%- set clocks = condition_clocks([condition]) -%}
    {%- set facts = lifecycle_fact_columns() -%}
    stages as (select * from {{ ref('int_lifecycle_stages') }}),

    settings as (select * from {{ ref('int_lifecycle_thresholds') }}),

    stages_with_settings as (
        select
            stages.*,
            {{ list_columns(lifecycle_setting_columns(), 'settings', 12) }}
        from stages
        inner join settings on stages.threshold_persona = settings.threshold_persona
    ),

    moments as (
        {{ split_at_clocks(
            'stages_with_settings',
            clocks,
            [
                'customer_id', 'rule_id', 'sign_id', 'stage', 'is_loyal', 'is_advocate', 'is_expanding', 'is_weighing',
                'is_in_cart', 'is_activated', 'is_at_risk', 'risk_reason'
            ] + facts + lifecycle_setting_columns()
        ) }}
    ),

    moments_judged as (
        select
            customer_id,
            valid_from_at,
            {{ compile_condition(condition) }} as is_member,
            {{ compile_sentence(entry_sentence) }} as entry_reason,
            {% if exit_sentence -%}
            {{ compile_sentence(exit_sentence) }}
            {%- else -%}
            'now ' || replace(stage, '_', ' ') || ': ' || {{ rule_sentence_case() }}
            {%- endif %} as exit_reason
        from moments
    ),

    moments_compared as (
        select
            *,
            coalesce(
                lag(is_member) over (partition by customer_id order by valid_from_at asc nulls last), false
            ) as was_member
        from moments_judged
    ),

    changes as (
        select
            *,
            lead(valid_from_at) over (partition by customer_id order by valid_from_at asc nulls last) as valid_to_at,
            lead(exit_reason) over (partition by customer_id order by valid_from_at asc nulls last) as next_exit_reason
        from moments_compared
        where is_member != was_member
    ),

    memberships as (
        select
            -- keys
            cast('{{ segment_name }}' as string) as segment_name,
            customer_id,
            -- facts
            entry_reason,
            next_exit_reason as exit_reason,
            -- times
            valid_from_at,
            valid_to_at
        from changes
        where is_member
    )
{%- endmacro %}
