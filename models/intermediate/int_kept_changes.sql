-- Grain: one row per event (purchase, its replacement or refund) that changes how many paid days of a lifecycle are not
-- fully refunded.

with

purchases as (select * from {{ ref('int_purchases') }}),

refunds as (select * from {{ ref('int_refunds') }} where completes_refund),

changes_unioned as (
    select
        lifecycle_id,
        paid_date,
        event_id,
        1 as purchase_change,
        paid_at as changed_at
    from purchases
    where replaced_at is null or replaced_at > paid_at
    union all
    -- The order takes over.
    select
        lifecycle_id,
        paid_date,
        event_id,
        -1 as purchase_change,
        replaced_at as changed_at
    from purchases
    where replaced_at > paid_at
    union all
    select
        purchases.lifecycle_id,
        purchases.paid_date,
        concat_ws(':', 'refund', refunds.refund_key) as event_id,
        -1 as purchase_change,
        refunds.refunded_at as changed_at
    from refunds
    inner join purchases on refunds.order_key = purchases.order_key
),

kept_purchases as (
    select
        lifecycle_id,
        paid_date,
        event_id,
        purchase_change,
        changed_at,
        cast(
            sum(purchase_change) over (
                partition by lifecycle_id, paid_date
                order by
                    changed_at asc nulls last,
                    purchase_change desc nulls last,
                    event_id asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as kept_purchase_count
    from changes_unioned
),

changes as (
    select
        lifecycle_id,
        event_id,
        cast(
            case
                when purchase_change = 1 and kept_purchase_count = 1 then 1
                when purchase_change = -1 and kept_purchase_count = 0 then -1
                else 0
            end
            as bigint
        ) as kept_change,
        changed_at
    from kept_purchases
)

select * from changes
