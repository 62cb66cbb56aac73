-- Every customer with a purchase is in one cohort, and the cohorts' revenue is that of their orders and refunds.
{{ config(meta={'dagster': {'ref': {'name': 'value_cohorts'}}}) }}

with

cells as (select * from {{ ref('value_cohorts') }}),

people as (
    select * from {{ ref('int_customer_beginnings') }} where first_paid_month is not null
),

purchases as (select * from {{ ref('int_purchases') }}),

orders as (
    select * from {{ ref('int_orders') }} where is_counted and customer_id is not null
),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

settings as (select * from {{ ref('stg_metric_settings') }}),

cohorts as (select * from cells where month_number = 0),

-- The last cell of each cohort that says anything holds everything up to the end of its month.
last_cells as (
    select
        cohort_month,
        max(month_number) as month_number
    from cells
    where is_complete
    group by cohort_month
),

cohorts_filled as (
    select
        cells.cohort_month,
        cast(
            cells.cohort_month + cast(cells.month_number as int) * interval 1 month as date
        ) as last_month,
        cells.net_revenue_amount
    from cells
    inner join last_cells
        on cells.cohort_month = last_cells.cohort_month
        and cells.month_number = last_cells.month_number
),

amounts as (
    select
        customer_id,
        order_month as value_month,
        gross_revenue_amount - discount_amount as net_revenue_amount
    from orders
    union all
    select
        orders.customer_id,
        case settings.refund_basis
            when 'order_date' then orders.order_month
            else cast(date_trunc('month', refunds.refund_date) as date)
        end as value_month,
        -refunds.item_refund_amount as net_revenue_amount
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    cross join settings
),

amounts_added as (
    select
        cohorts_filled.cohort_month,
        cast(coalesce(sum(amounts.net_revenue_amount), 0) as decimal(18, 2)) as net_revenue_amount
    from amounts
    inner join people on amounts.customer_id = people.customer_id
    inner join cohorts_filled
        on people.first_paid_month = cohorts_filled.cohort_month
        and amounts.value_month <= cohorts_filled.last_month
    group by cohorts_filled.cohort_month
),

totals as (
    select
        (select cast(count(distinct customer_id) as bigint) from purchases) as buyer_count,
        (select cast(coalesce(sum(cohort_customer_count), 0) as bigint) from cohorts)
            as cohort_customer_count
),

differences as (
    select 'customers' as place
    from totals
    where buyer_count != cohort_customer_count
    union all
    select 'revenue of the cohort ' || cast(cohorts_filled.cohort_month as string) as place
    from cohorts_filled
    left join amounts_added on cohorts_filled.cohort_month = amounts_added.cohort_month
    where coalesce(amounts_added.net_revenue_amount, 0)
        is distinct from cohorts_filled.net_revenue_amount
)

select * from differences
