-- Grain: one row per customer id and the id it became, or was split into, from one publication to the next.

with

merge_log as (select * from {{ source('identity', 'merge_log') }}),

published as (
    select
        -- keys
        previous_customer_id,
        customer_id,
        -- facts
        change_kind,
        record_count,
        reason,
        -- times
        changed_as_of
    from merge_log
)

select * from published
