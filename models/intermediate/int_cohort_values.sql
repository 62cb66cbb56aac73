-- Grain: one row per month of first purchases and month after it in which its customers paid, bought or got money back.
-- What was given away before the first purchase (a free order and its cost) stands in month 0.

with

people as (
    select * from {{ ref('int_customer_beginnings') }} where first_paid_month is not null
),

purchases as (select * from {{ ref('int_purchases') }}),

orders as (
    select * from {{ ref('int_orders') }} where is_counted and customer_id is not null
),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

settings as (select * from {{ ref('stg_metric_settings') }}),

amounts as (
    select
        customer_id,
        1 as order_count,
        case when cost_amount is null then 1 else 0 end as order_without_cost_count,
        cast(gross_revenue_amount - discount_amount as decimal(18, 2)) as net_revenue_amount,
        cast(coalesce(cost_amount, 0) as decimal(18, 2)) as cost_amount,
        cast(
            case when cost_amount is null then gross_revenue_amount - discount_amount else 0 end
            as decimal(18, 2)
        ) as revenue_without_cost_amount,
        order_month as value_month,
        ordered_at as counted_at
    from orders
    union all
    select
        orders.customer_id,
        0 as order_count,
        0 as order_without_cost_count,
        cast(-refunds.item_refund_amount as decimal(18, 2)) as net_revenue_amount,
        cast(0 as decimal(18, 2)) as cost_amount,
        cast(0 as decimal(18, 2)) as revenue_without_cost_amount,
        case settings.refund_basis
            when 'order_date' then orders.order_month
            else cast(date_trunc('month', refunds.refund_date) as date)
        end as value_month,
        case settings.refund_basis
            when 'order_date' then orders.ordered_at
            else refunds.refunded_at
        end as counted_at
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    cross join settings
),

amounts_placed as (
    select
        people.first_paid_month as cohort_month,
        greatest(
            {{ calendar_months_between('people.first_paid_month', 'amounts.value_month') }}, 0
        ) as month_number,
        amounts.order_count,
        amounts.order_without_cost_count,
        amounts.net_revenue_amount,
        amounts.cost_amount,
        amounts.revenue_without_cost_amount,
        amounts.counted_at < {{ add_days('people.first_paid_at', 365) }} as is_in_first_year
    from amounts
    inner join people on amounts.customer_id = people.customer_id
),

amounts_added as (
    select
        cohort_month,
        month_number,
        cast(sum(order_count) as bigint) as order_count,
        cast(sum(order_without_cost_count) as bigint) as order_without_cost_count,
        cast(sum(net_revenue_amount) as decimal(18, 2)) as net_revenue_amount,
        cast(sum(cost_amount) as decimal(18, 2)) as cost_amount,
        cast(sum(revenue_without_cost_amount) as decimal(18, 2)) as revenue_without_cost_amount,
        cast(
            sum(case when is_in_first_year then net_revenue_amount - cost_amount else 0 end)
            as decimal(18, 2)
        ) as first_year_margin_amount
    from amounts_placed
    group by cohort_month, month_number
),

payments_placed as (
    select
        purchases.customer_id,
        people.first_paid_month as cohort_month,
        {{ calendar_months_between(
            'people.first_paid_month', "cast(date_trunc('month', purchases.paid_date) as date)"
        ) }} as month_number
    from purchases
    inner join people on purchases.customer_id = people.customer_id
),

payments_counted as (
    select
        cohort_month,
        month_number,
        cast(count(distinct customer_id) as bigint) as ordering_customer_count
    from payments_placed
    group by cohort_month, month_number
),

cells as (
    select
        cohort_month,
        month_number
    from amounts_added
    union
    select
        cohort_month,
        month_number
    from payments_counted
),

cohort_values as (
    select
        -- keys
        cells.cohort_month,
        cells.month_number,
        -- facts
        coalesce(payments_counted.ordering_customer_count, 0) as ordering_customer_count,
        coalesce(amounts_added.order_count, 0) as order_count,
        coalesce(amounts_added.order_without_cost_count, 0) as order_without_cost_count,
        coalesce(amounts_added.net_revenue_amount, 0) as net_revenue_amount,
        coalesce(amounts_added.cost_amount, 0) as cost_amount,
        coalesce(amounts_added.revenue_without_cost_amount, 0) as revenue_without_cost_amount,
        coalesce(amounts_added.first_year_margin_amount, 0) as first_year_margin_amount
    from cells
    left join amounts_added
        on cells.cohort_month = amounts_added.cohort_month
        and cells.month_number = amounts_added.month_number
    left join payments_counted
        on cells.cohort_month = payments_counted.cohort_month
        and cells.month_number = payments_counted.month_number
)

select * from cohort_values
