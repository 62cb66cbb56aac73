-- Grain: one row per customer per interval of one stage; the intervals of a customer touch and never overlap.

with

stages as (select * from {{ ref('int_lifecycle_stages') }}),

timeline as (select * from {{ ref('int_timeline') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

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
        customer_id,
        lifecycle_id,
        stage,
        rule_id,
        {{ rule_sentence_case() }} as reason,
        {{ rule_evidence_case() }} as evidence_at,
        valid_from_at
    from stages_compared
    where previous_stage is distinct from stage
),

evidence_moments as (
    select distinct
        lifecycle_id,
        evidence_at
    from entries
    where evidence_at is not null
),

-- Of several events of one moment a purchase says most, then what a person did, then what was done to them.
evidence_ranked as (
    select
        evidence_moments.lifecycle_id,
        evidence_moments.evidence_at,
        timeline.event_id,
        row_number() over (
            partition by evidence_moments.lifecycle_id, evidence_moments.evidence_at
            order by
                case
                    when timeline.event_name in ('order_placed', 'account_closed') then 0
                    when not timeline.is_touchpoint then 1
                    when touchpoint_types.is_human_activity then 2
                    else 3
                end asc nulls last,
                timeline.event_id asc nulls last
        ) as rank_of_moment
    from timeline
    inner join evidence_moments
        on timeline.lifecycle_id = evidence_moments.lifecycle_id
        and timeline.occurred_at = evidence_moments.evidence_at
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
),

evidence as (select * from evidence_ranked where rank_of_moment = 1),

intervals as (
    select
        -- keys
        entries.customer_id,
        -- facts
        entries.stage,
        entries.rule_id as reason_code,
        entries.reason,
        evidence.event_id as evidence_event_id,
        -- times
        entries.valid_from_at,
        lead(entries.valid_from_at) over (
            partition by entries.customer_id order by entries.valid_from_at asc nulls last
        ) as valid_to_at
    from entries
    left join evidence
        on entries.lifecycle_id = evidence.lifecycle_id
        and entries.evidence_at = evidence.evidence_at
)

select * from intervals
