-- Grain: one row per customer and month in which they became active, ceased to be, or came back.
-- Two ways of counting: moves, of which somebody may make several, and where a customer stood at the month's borders.

with

spells as (select * from {{ ref('int_active_spells') }}),

moves as (
    select
        customer_id,
        case when spell_number = 1 then 'new' else 'reactivated' end as move,
        valid_from_at as moved_at
    from spells
    union all
    select
        customer_id,
        'churned' as move,
        valid_to_at as moved_at
    from spells
    where valid_to_at is not null
),

moves_dated as (
    select
        *,
        {{ local_month('moved_at') }} as month
    from moves
),

moves_counted as (
    select
        customer_id,
        month,
        cast(count(case when move = 'new' then 1 end) as bigint) as new_count,
        cast(count(case when move = 'reactivated' then 1 end) as bigint) as reactivated_count,
        cast(count(case when move = 'churned' then 1 end) as bigint) as churned_count,
        min(moved_at) as first_moved_at,
        min(case when move = 'reactivated' then moved_at end) as first_reactivated_at
    from moves_dated
    group by customer_id, month
),

changes as (
    select
        -- keys
        customer_id,
        month,
        -- facts: moves
        new_count,
        reactivated_count,
        churned_count,
        -- facts: people
        -- One exit more than entries: here when the month began, gone when it ended.
        cast(
            case when churned_count > new_count + reactivated_count then 1 else 0 end as bigint
        ) as churned_from_opening_count,
        -- Whose first move is a return was gone when the month began.
        cast(
            case when coalesce(first_reactivated_at = first_moved_at, false) then 1 else 0 end
            as bigint
        ) as reactivated_from_opening_count
    from moves_counted
)

select * from changes
