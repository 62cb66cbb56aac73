-- Who is in a segment now is whoever has not left it.
{{ config(meta={'dagster': {'ref': {'name': 'segment_members'}}}) }}

with

open_intervals as (select * from {{ ref('segment_history') }} where valid_to_at is null),

members as (select * from {{ ref('segment_members') }}),

differences as (
    select
        coalesce(open_intervals.segment_name, members.segment_name) as segment_name,
        coalesce(open_intervals.customer_id, members.customer_id) as customer_id
    from open_intervals
    full outer join members
        on open_intervals.segment_name = members.segment_name
        and open_intervals.customer_id = members.customer_id
    where open_intervals.valid_from_at is distinct from members.entered_at
)

select * from differences
