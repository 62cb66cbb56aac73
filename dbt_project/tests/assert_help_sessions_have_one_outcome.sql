-- Deflected, written after and handed over are all sessions that can be judged, and with the pending ones all there are.
{{ config(meta={'dagster': {'ref': {'name': 'deflection_monthly'}}}) }}

with

sessions as (select * from {{ ref('int_help_sessions') }}),

months as (select * from {{ ref('deflection_monthly') }}),

sessions_counted as (
    select
        started_month,
        session_kind,
        count(*) as session_count
    from sessions
    group by started_month, session_kind
),

differences as (
    select
        coalesce(sessions_counted.started_month, months.deflection_month) as deflection_month,
        coalesce(sessions_counted.session_kind, months.session_kind) as session_kind
    from sessions_counted
    full outer join months
        on sessions_counted.started_month = months.deflection_month
        and sessions_counted.session_kind = months.session_kind
    where
        sessions_counted.session_count
        is distinct from months.session_count + months.pending_count
        or months.deflected_count + months.ticket_count + months.handed_over_count
        is distinct from months.session_count
)

select * from differences
