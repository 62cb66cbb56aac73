-- Grain: one row per customer who is known by more than a cookie, with the moment from which.
-- A record without a date has always been there.

with

links as (select * from {{ source('identity', 'record_links') }} where link_rule != 'anonymous_id'),

identifications as (
    select
        customer_id,
        min(coalesce(linked_at, cast('0001-01-01 00:00:00' as timestamp))) as identified_at,
        min(linked_at) as first_dated_at
    from links
    group by customer_id
)

select * from identifications
