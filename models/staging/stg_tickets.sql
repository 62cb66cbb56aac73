-- Grain: one row per ticket.

with

records as (select * from {{ source('raw', 'tickets') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        ticket_id,
        contact_id,
        product_id,
        order_id,
        agent_id,
        -- facts
        ticket_channel,
        -- What a later solution put in its place is not known.
        case when solved_at >= {{ as_of_end() }} then null else lower(ticket_status) end
            as ticket_status,
        lower(email) as email,
        phone,
        reason,
        priority,
        reopened_count,
        reply_count,
        handed_over_from_bot,
        transcript_text,
        -- times
        opened_at,
        {{ happened('first_replied_at') }} as first_replied_at,
        {{ happened('solved_at') }} as solved_at
    from records
    where {{ exists_as_of() }}
        and opened_at < {{ as_of_end() }}
)

select * from cleaned
