-- Grain: one row per customer per interval of one stage; the intervals of a customer touch and never overlap.

with

stages as (select * from {{ ref('int_lifecycle_stages') }}),

events as (select * from {{ ref('int_lifecycle_events') }}),

stages_compared as (
    select
        *,
        lag(stage)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as previous_stage
    from stages
),

entries as (
    select
        *,
        {{ rule_sentence_case() }} as reason,
        {{ rule_evidence_case() }} as evidence_at
    from stages_compared
    where previous_stage is distinct from stage
),

events_ranked as (
    select
        customer_id,
        occurred_at,
        event_id,
        row_number() over (
            partition by customer_id, occurred_at
            order by
                case when is_paid then 0 when order_change != 0 then 1 else 2 end asc nulls last,
                event_id asc nulls last
        ) as rank_of_moment
    from events
),

intervals as (
    select
        -- keys
        entries.customer_id,
        -- facts
        entries.stage,
        entries.rule_id as reason_code,
        entries.reason,
        events_ranked.event_id as evidence_event_id,
        -- times
        entries.valid_from_at,
        lead(entries.valid_from_at) over (
            partition by entries.customer_id order by entries.valid_from_at asc nulls last
        ) as valid_to_at
    from entries
    left join events_ranked
        on entries.customer_id = events_ranked.customer_id
        and entries.evidence_at = events_ranked.occurred_at
        and events_ranked.rank_of_moment = 1
)

select * from intervals
