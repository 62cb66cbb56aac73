-- Grain: one row per ticket: whose it is, how long it took, and whether that was the end of the matter.
-- Of one customer and reason, in whatever channel, a case follows the other; without a reason nothing can be said.

with

tickets as (select * from {{ ref('stg_tickets') }}),

statuses as (select * from {{ ref('ticket_statuses') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'tickets'),

settings as (select * from {{ ref('stg_metric_settings') }}),

tickets_judged as (
    select
        tickets.*,
        concat_ws(':', tickets.source_system, tickets.ticket_id) as ticket_key,
        links.customer_id,
        nullif(lower(trim(tickets.reason)), '') as contact_reason,
        coalesce(statuses.is_counted, true) as is_counted,
        -- A status that nobody knows says nothing: then the date decides.
        coalesce(statuses.is_open, tickets.solved_at is null) as is_open,
        coalesce(statuses.is_solution, tickets.solved_at is not null) as is_solved
    from tickets
    left join statuses on tickets.ticket_status = statuses.ticket_status
    left join links
        on tickets.source_system = links.source_system
        and tickets.ticket_id = links.record_id
),

tickets_timed as (
    select
        *,
        -- A case that was given up has a date of its end, and no solution.
        case when is_solved or is_open then solved_at end as last_solved_at,
        -- A status that says so without a date was that of the beginning.
        greatest(coalesce(solved_at, opened_at), opened_at) as ended_at,
        coalesce(reopened_count, 0) > 0 or (is_open and solved_at is not null) as is_reopened,
        lag(opened_at) over (
            partition by customer_id, contact_reason, is_counted
            order by opened_at asc nulls last, ticket_key asc nulls last
        ) as previous_opened_at,
        lead(opened_at) over (
            partition by customer_id, contact_reason, is_counted
            order by opened_at asc nulls last, ticket_key asc nulls last
        ) as next_opened_at,
        customer_id is not null and contact_reason is not null and is_counted as is_comparable
    from tickets_judged
),

tickets_followed as (
    select
        tickets_timed.*,
        {{ add_days('tickets_timed.ended_at', 'settings.first_contact_days') }} as settled_at,
        {{ add_days('tickets_timed.previous_opened_at', 'settings.repeat_contact_days') }}
            as forgotten_at
    from tickets_timed
    cross join settings
),

published as (
    select
        -- keys
        ticket_key,
        source_system,
        id_namespace,
        ticket_id,
        customer_id,
        agent_id,
        product_id,
        -- facts
        coalesce(lower(ticket_channel), '(none)') as ticket_channel,
        contact_reason,
        is_counted,
        is_open,
        is_solved,
        is_reopened,
        reply_count,
        coalesce(handed_over_from_bot, false) as is_handed_over_from_bot,
        case
            when first_replied_at >= opened_at
                then round({{ days_between('opened_at', 'first_replied_at') }} * 1440, 3)
        end as first_reply_minutes,
        case
            when last_solved_at >= opened_at
                then round({{ days_between('opened_at', 'last_solved_at') }} * 1440, 3)
        end as resolution_minutes,
        is_comparable and is_solved and settled_at <= {{ as_of_end() }}
            as is_first_contact_eligible,
        is_comparable
        and is_solved
        and settled_at <= {{ as_of_end() }}
        and not is_reopened
        and (next_opened_at is null or next_opened_at >= settled_at)
            as is_first_contact_resolved,
        coalesce(is_comparable and opened_at < forgotten_at, false) as is_repeat,
        -- times
        opened_at,
        {{ local_month('opened_at') }} as opened_month,
        last_solved_at,
        {{ local_month('last_solved_at') }} as solved_month
    from tickets_followed
)

select * from published
