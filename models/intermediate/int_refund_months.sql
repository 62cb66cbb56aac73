-- Grain: one row per refund of a counted order: the month in which it counts.
-- By setting that in which it was given, or that of its order.

with

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

orders as (select * from {{ ref('int_orders') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

refunds_dated as (
    select
        -- keys
        refunds.refund_key,
        refunds.order_key,
        refunds.customer_id,
        -- facts
        refunds.item_refund_amount,
        -- times
        case
            when settings.refund_basis = 'order_date' then orders.order_month
            else cast(date_trunc('month', refunds.refund_date) as date)
        end as refund_month
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    cross join settings
)

select * from refunds_dated
