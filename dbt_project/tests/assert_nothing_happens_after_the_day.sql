-- Whatever lies after the run's day has not happened yet: no event, no interval and no end of one.
{{ config(meta={'dagster': {'ref': {'name': 'customer_lifecycle_history'}}}) }}

with

timeline as (select * from {{ ref('customer_timeline') }}),

history as (select * from {{ ref('customer_lifecycle_history') }}),

segments as (select * from {{ ref('segment_history') }}),

moments as (
    select
        customer_id,
        occurred_at as happens_at
    from timeline
    union all
    select
        customer_id,
        coalesce(valid_to_at, valid_from_at) as happens_at
    from history
    union all
    select
        customer_id,
        coalesce(valid_to_at, valid_from_at) as happens_at
    from segments
),

late as (
    select *
    from moments
    where happens_at >= {{ as_of_end() }}
)

select * from late
