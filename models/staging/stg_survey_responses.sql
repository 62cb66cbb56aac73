-- Grain: one row per survey answer.

with

records as (select * from {{ source('raw', 'survey_responses') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        response_id,
        contact_id,
        order_id,
        ticket_id,
        agent_id,
        survey_id,
        -- facts
        survey_kind,
        score,
        lower(email) as email,
        survey_trigger,
        scale_min,
        scale_max,
        scale_direction,
        comment_text,
        -- times
        responded_at,
        {{ happened('sent_at') }} as sent_at
    from records
    where {{ exists_as_of() }}
        and responded_at < {{ as_of_end() }}
)

select * from cleaned
