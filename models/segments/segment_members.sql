-- Grain: one row per segment and customer who is in it at the end of the run's day.

with

history as (select * from {{ ref('segment_history') }}),

members as (
    select
        -- keys
        segment_name,
        customer_id,
        -- facts
        entry_reason as reason,
        -- times
        valid_from_at as entered_at
    from history
    where valid_to_at is null
)

select * from members
