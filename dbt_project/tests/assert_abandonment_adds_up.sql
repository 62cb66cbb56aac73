-- What was started was ordered or abandoned; and no order's revenue counts as recovered twice.
{{ config(meta={'dagster': {'ref': {'name': 'abandonment_monthly'}}}) }}

with

abandonments as (select * from {{ ref('int_abandonments') }}),

months as (select * from {{ ref('abandonment_monthly') }}),

started as (
    select
        abandonment_kind,
        cast(count(case when is_matured then 1 end) as bigint) as started_count,
        cast(
            coalesce(sum(case when is_recovery_matured then recovered_revenue_amount end), 0)
            as decimal(18, 2)
        ) as recovered_revenue_amount
    from abandonments
    group by abandonment_kind
),

totals as (
    select
        abandonment_kind,
        cast(sum(started_count) as bigint) as started_count,
        cast(sum(recovered_revenue_amount) as decimal(18, 2)) as recovered_revenue_amount
    from months
    group by abandonment_kind
),

differences as (
    select coalesce(started.abandonment_kind, totals.abandonment_kind) as abandonment_kind
    from started
    full outer join totals on started.abandonment_kind = totals.abandonment_kind
    where started.started_count is distinct from totals.started_count
        or started.recovered_revenue_amount is distinct from totals.recovered_revenue_amount
    union all
    select abandonment_kind
    from months
    where ordered_count + abandoned_count != started_count
        or matured_abandoned_count > abandoned_count
        or recovered_count > matured_abandoned_count
        or abandoned_with_amount_count > abandoned_count
    union all
    select abandonment_kind
    from abandonments
    where recovered_revenue_amount != 0
    group by abandonment_kind, customer_id, purchased_at
    having count(*) > 1
)

select * from differences
