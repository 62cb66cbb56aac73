-- The open interval of the history is the stage in customer_360, with its beginning; without history it is awareness.
{{ config(meta={'dagster': {'ref': {'name': 'customer_360'}}}) }}

with

customers as (select * from {{ ref('customer_360') }}),

open_intervals as (select * from {{ ref('customer_lifecycle_history') }} where valid_to_at is null),

differences as (
    select
        coalesce(customers.customer_id, open_intervals.customer_id) as customer_id,
        customers.lifecycle_stage,
        open_intervals.stage as history_stage
    from customers
    full outer join open_intervals on customers.customer_id = open_intervals.customer_id
    where customers.lifecycle_stage is distinct from coalesce(open_intervals.stage, 'awareness')
        or customers.lifecycle_stage_since_at is distinct from open_intervals.valid_from_at
)

select * from differences
