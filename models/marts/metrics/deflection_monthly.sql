-- Grain: one row per month and kind (help, bot) of the sessions that began in it.

with

sessions as (select * from {{ ref('int_help_sessions') }}),

months as (select * from {{ ref('int_months') }}),

sessions_counted as (
    select
        started_month as deflection_month,
        session_kind,
        cast(count(case when session_outcome != 'pending' then 1 end) as bigint) as session_count,
        cast(count(case when session_outcome = 'deflected' then 1 end) as bigint)
            as deflected_count,
        cast(count(case when session_outcome = 'ticket' then 1 end) as bigint) as ticket_count,
        cast(count(case when session_outcome = 'handed_over' then 1 end) as bigint)
            as handed_over_count,
        cast(count(case when session_outcome = 'pending' then 1 end) as bigint) as pending_count
    from sessions
    group by started_month, session_kind
),

published as (
    select
        -- keys
        sessions_counted.deflection_month,
        sessions_counted.session_kind,
        -- facts
        coalesce(months.is_complete, true) as is_complete,
        sessions_counted.session_count,
        sessions_counted.deflected_count,
        sessions_counted.ticket_count,
        sessions_counted.handed_over_count,
        sessions_counted.pending_count,
        cast(sessions_counted.deflected_count as double)
        / nullif(sessions_counted.session_count, 0) as deflection_rate
    from sessions_counted
    left join months on sessions_counted.deflection_month = months.month
)

select * from published
