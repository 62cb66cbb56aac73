-- Grain: one row per refund of a known order, in the reporting currency at the order's rate.
-- `refund_month` is the month in which it counts: its own or that of its order, as `refund_basis` says.

with

refunds as (select * from {{ ref('stg_refunds') }}),

orders as (select * from {{ ref('int_order_amounts') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

refunds_joined as (
    select
        -- keys
        concat_ws(':', refunds.source_system, refunds.refund_id) as refund_key,
        refunds.source_system,
        refunds.refund_id,
        orders.order_key,
        orders.customer_id,
        refunds.product_id,
        -- facts
        not orders.is_cancelled and not orders.is_test and not orders.is_without_rate as is_counted,
        refunds.quantity as refunded_quantity,
        refunds.refund_amount,
        orders.total_amount as order_total_amount,
        cast(
            sum(refunds.refund_amount) over (
                partition by orders.order_key
                order by
                    refunds.refunded_at asc nulls last,
                    refunds.source_system asc nulls last,
                    refunds.refund_id asc nulls last
                rows between unbounded preceding and current row
            ) as decimal(18, 4)
        ) as refunded_so_far_amount,
        {{ to_reporting_currency(
            'coalesce(refunds.item_refund_amount, refunds.refund_amount - coalesce(refunds.tax_refund_amount, 0)
            - coalesce(refunds.shipping_refund_amount, 0))',
            'orders.exchange_rate'
        ) }} as item_refund_amount,
        -- times
        refunds.refunded_at,
        {{ local_date('refunds.refunded_at') }} as refund_date,
        cast(
            date_trunc(
                'month',
                case
                    when settings.refund_basis = 'order_date' then orders.order_date
                    else {{ local_date('refunds.refunded_at') }}
                end
            ) as date
        ) as refund_month
    from refunds
    inner join orders
        on refunds.id_namespace = orders.id_namespace
        and refunds.order_id = orders.order_id
    cross join settings
),

refunds_marked as (
    select
        *,
        order_total_amount > 0
        and refunded_so_far_amount >= order_total_amount
        and refunded_so_far_amount - refund_amount < order_total_amount as completes_refund
    from refunds_joined
)

select * from refunds_marked
