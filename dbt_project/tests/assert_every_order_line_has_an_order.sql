-- A line of an order that the same source never sent counts nowhere. Looks at all that was loaded: an order of a day
-- after the run's is there, it has only not happened yet.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'stg_order_items'}}}) }}

with

order_items as (select * from {{ ref('stg_order_items') }}),

orders as (select * from {{ source('raw', 'orders') }}),

lines_without_order as (
    select
        order_items.source_system,
        order_items.order_id,
        order_items.line_number
    from order_items
    left join orders
        on order_items.source_system = orders.source_system
        and order_items.order_id = orders.order_id
    where orders.order_id is null
)

select * from lines_without_order
