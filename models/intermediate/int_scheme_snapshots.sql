-- Grain: one row per customer who had ordered or bought by then and snapshot day: their stage in every scheme that
-- depends on all customers' ranks or on scores.
-- Refunds and later orders count from their own day on, so the row of a past day is what a run of that day gives.

with

snapshot_days as (select * from {{ ref('int_snapshot_days') }}),

orders as (select * from {{ ref('int_orders') }} where is_counted and customer_id is not null),

refunds as (select * from {{ ref('int_refunds') }} where is_counted and customer_id is not null),

paid_days as (select * from {{ ref('int_paid_days') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

changes as (
    select
        customer_id,
        order_date as changed_date,
        1 as order_change,
        gross_revenue_amount - discount_amount as revenue_change,
        ordered_at,
        cast(null as timestamp) as paid_at
    from orders
    union all
    select
        refunds.customer_id,
        -- A refund that is dated before its order does not exist before the order does.
        greatest(refunds.refund_date, orders.order_date) as changed_date,
        0 as order_change,
        -refunds.item_refund_amount as revenue_change,
        cast(null as timestamp) as ordered_at,
        cast(null as timestamp) as paid_at
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    union all
    select
        members.customer_id,
        greatest(paid_days.paid_date, {{ local_date('members.member_since_at') }}) as changed_date,
        0 as order_change,
        0 as revenue_change,
        cast(null as timestamp) as ordered_at,
        paid_days.paid_at
    from paid_days
    inner join members on paid_days.lifecycle_id = members.lifecycle_id
),

changes_added as (
    select
        changes.customer_id,
        snapshot_days.snapshot_number,
        cast(sum(changes.order_change) as bigint) as order_change,
        cast(sum(changes.revenue_change) as decimal(18, 2)) as revenue_change,
        max(changes.ordered_at) as last_order_at,
        max(changes.paid_at) as last_paid_at
    from changes
    inner join snapshot_days
        on changes.changed_date <= snapshot_days.snapshot_date
        and (
            snapshot_days.previous_snapshot_date is null
            or changes.changed_date > snapshot_days.previous_snapshot_date
        )
    group by changes.customer_id, snapshot_days.snapshot_number
),

accumulated as (
    select
        customer_id,
        snapshot_number as from_number,
        lead(snapshot_number)
            over (partition by customer_id order by snapshot_number asc nulls last)
            as to_number,
        cast(sum(order_change) over so_far as bigint) as order_count,
        cast(sum(revenue_change) over so_far as decimal(18, 2)) as net_revenue_amount,
        max(last_order_at) over so_far as last_order_at,
        max(last_paid_at) over so_far as last_paid_at
    from changes_added
    window so_far as (
        partition by customer_id
        order by snapshot_number asc nulls last
        rows between unbounded preceding and current row
    )
),

snapshots as (
    select
        accumulated.customer_id,
        snapshot_days.snapshot_date,
        snapshot_days.snapshot_number,
        snapshot_days.snapshot_end_at,
        accumulated.order_count,
        accumulated.net_revenue_amount,
        accumulated.last_order_at,
        accumulated.last_paid_at
    from accumulated
    inner join snapshot_days
        on accumulated.from_number <= snapshot_days.snapshot_number
        and (
            accumulated.to_number is null
            or accumulated.to_number > snapshot_days.snapshot_number
        )
),

ranks as (
    select
        customer_id,
        snapshot_number,
        ntile(5) over (
            partition by snapshot_number
            order by last_order_at asc nulls last, customer_id asc nulls last
        ) as rfm_recency_quintile,
        ntile(5) over (
            partition by snapshot_number
            order by order_count asc nulls last, customer_id asc nulls last
        ) as rfm_frequency_quintile,
        ntile(5) over (
            partition by snapshot_number
            order by net_revenue_amount asc nulls last, customer_id asc nulls last
        ) as rfm_monetary_quintile
    from snapshots
    where order_count > 0
),

stages as (
    select
        -- keys
        snapshots.customer_id,
        snapshots.snapshot_date,
        snapshots.snapshot_number,
        -- facts
        snapshots.order_count,
        snapshots.net_revenue_amount,
        cast(ranks.rfm_recency_quintile as bigint) as rfm_recency_quintile,
        cast(ranks.rfm_frequency_quintile as bigint) as rfm_frequency_quintile,
        cast(ranks.rfm_monetary_quintile as bigint) as rfm_monetary_quintile,
        {{ rfm_group(
            'ranks.rfm_recency_quintile',
            'ranks.rfm_frequency_quintile',
            'ranks.rfm_monetary_quintile'
        ) }} as shopify_rfm,
        {{ amperity_stage(days_between('snapshots.last_paid_at', 'snapshots.snapshot_end_at')) }}
            as amperity_predicted,
        -- times
        snapshots.last_order_at,
        snapshots.last_paid_at
    from snapshots
    left join ranks
        on snapshots.customer_id = ranks.customer_id
        and snapshots.snapshot_number = ranks.snapshot_number
)

select * from stages
