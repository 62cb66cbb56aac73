-- Grain: one row per lifecycle and moment at which its tickets begin (+1) or cease (-1) to press.
-- They press while enough of those opened lately are not solved, or enough of them have one reason.

with

tickets as (select * from {{ ref('stg_tickets') }}),

ticket_statuses as (select * from {{ ref('ticket_statuses') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'tickets'),

members as (select * from {{ ref('int_lifecycle_members') }}),

personas as (select * from {{ ref('int_lifecycle_personas') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

tickets_held as (
    select
        members.lifecycle_id,
        tickets.reason,
        settings.pressing_tickets,
        tickets.opened_at,
        -- A status that says so without a date was that of the beginning.
        case
            when tickets.solved_at is not null then greatest(tickets.solved_at, tickets.opened_at)
            when not ticket_statuses.is_open then tickets.opened_at
        end as solved_at,
        {{ add_days('tickets.opened_at', 'settings.pressing_days') }} as forgotten_at
    from tickets
    inner join links
        on tickets.source_system = links.source_system
        and tickets.ticket_id = links.record_id
    inner join members on links.customer_id = members.customer_id
    left join ticket_statuses on tickets.ticket_status = ticket_statuses.ticket_status
    left join personas on members.lifecycle_id = personas.lifecycle_id
    inner join
        settings
        on coalesce(personas.threshold_persona, 'default') = settings.threshold_persona
),

-- A list of its own for what is not solved, beside one per reason.
spans as (
    select
        lifecycle_id,
        'unsolved' as list_name,
        pressing_tickets,
        opened_at as begins_at,
        least(coalesce(solved_at, forgotten_at), forgotten_at) as ends_at
    from tickets_held
    union all
    select
        lifecycle_id,
        'reason:' || reason as list_name,
        pressing_tickets,
        opened_at as begins_at,
        forgotten_at as ends_at
    from tickets_held
    where reason is not null
),

borders as (
    select
        spans.lifecycle_id,
        spans.list_name,
        spans.pressing_tickets,
        sides.ticket_change,
        case sides.ticket_change when 1 then spans.begins_at else spans.ends_at end as changed_at
    from spans
    cross join (values (1), (-1)) as sides (ticket_change)
),

moments as (
    select
        lifecycle_id,
        list_name,
        changed_at,
        max(pressing_tickets) as pressing_tickets,
        cast(sum(ticket_change) as bigint) as ticket_change
    from borders
    where changed_at < {{ as_of_end() }}
    group by lifecycle_id, list_name, changed_at
),

moments_judged as (
    select
        lifecycle_id,
        list_name,
        changed_at,
        case
            when
                cast(
                    sum(ticket_change) over (
                        partition by lifecycle_id, list_name
                        order by changed_at asc nulls last
                        rows between unbounded preceding and current row
                    ) as bigint
                )
                >= pressing_tickets
                then 1
            else 0
        end as is_pressing
    from moments
),

list_changes as (
    select
        lifecycle_id,
        changed_at,
        is_pressing
        - coalesce(
            lag(is_pressing) over (
                partition by lifecycle_id, list_name order by changed_at asc nulls last
            ),
            0
        ) as pressing_change
    from moments_judged
),

lists_added as (
    select
        lifecycle_id,
        changed_at,
        cast(sum(pressing_change) as bigint) as pressing_change
    from list_changes
    where pressing_change != 0
    group by lifecycle_id, changed_at
),

lists_counted as (
    select
        lifecycle_id,
        changed_at,
        case
            when
                cast(
                    sum(pressing_change) over (
                        partition by lifecycle_id
                        order by changed_at asc nulls last
                        rows between unbounded preceding and current row
                    ) as bigint
                )
                > 0
                then 1
            else 0
        end as is_pressing
    from lists_added
),

changes as (
    select
        lifecycle_id,
        cast(
            is_pressing
            - coalesce(
                lag(is_pressing)
                    over (partition by lifecycle_id order by changed_at asc nulls last),
                0
            )
            as bigint
        ) as pressing_change,
        changed_at
    from lists_counted
),

turns as (select * from changes where pressing_change != 0)

select * from turns
