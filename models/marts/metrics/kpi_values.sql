-- Grain: one row per metric, month, dimension and value of the dimension; `all` stands for the whole.
-- What a metric means stands in the semantic layer; here are the figures of those that a target is set for.
-- To add one: a CTE with its name, a line in `figures`, a line in seeds/kpi_targets.csv.

with

calendar_months as (select * from {{ ref('int_months') }}),

revenue as (select * from {{ ref('revenue_monthly') }}),

cohorts as (select * from {{ ref('retention_cohorts_monthly') }}),

stage_days as (select * from {{ ref('lifecycle_stage_daily') }} where scheme = 'lifecycle'),

stages as (select * from {{ ref('lifecycle_stages') }}),

-- A month without a sale is a month with a revenue of 0.
first_sales as (
    select min(revenue_month) as first_month
    from revenue
),

revenue_filled as (
    select
        calendar_months.month as revenue_month,
        coalesce(revenue.order_count, 0) as order_count,
        coalesce(revenue.customer_count, 0) as customer_count,
        coalesce(revenue.gross_revenue_amount, 0) as gross_revenue_amount,
        coalesce(revenue.discount_amount, 0) as discount_amount,
        coalesce(revenue.gross_revenue_amount - revenue.discount_amount, 0) as charged_amount,
        coalesce(revenue.refund_amount, 0) as refund_amount,
        coalesce(revenue.net_revenue_amount, 0) as net_revenue_amount
    from calendar_months
    inner join first_sales on calendar_months.month >= first_sales.first_month
    left join revenue on calendar_months.month = revenue.revenue_month
),

net_revenue as (
    select {{ kpi_figure('net_revenue', 'revenue_month', 'net_revenue_amount') }}
    from revenue_filled
),

orders as (
    select {{ kpi_figure('orders', 'revenue_month', 'order_count') }}
    from revenue_filled
),

buyers as (
    select {{ kpi_figure('buyers', 'revenue_month', 'customer_count') }}
    from revenue_filled
),

average_order_value as (
    select
        {{ kpi_figure(
            'average_order_value', 'revenue_month', 'charged_amount', 'order_count'
        ) }}
    from revenue_filled
),

discount_rate as (
    select
        {{ kpi_figure(
            'discount_rate', 'revenue_month', 'discount_amount', 'gross_revenue_amount'
        ) }}
    from revenue_filled
),

refund_rate as (
    select {{ kpi_figure('refund_rate', 'revenue_month', 'refund_amount', 'charged_amount') }}
    from revenue_filled
),

retention_rate_month_1 as (
    select
        {{ kpi_figure(
            'retention_rate_month_1', 'cohort_month', 'retained_customer_count', 'cohort_customer_count'
        ) }}
    from cohorts
    where month_number = 1
),

retention_rate_month_3 as (
    select
        {{ kpi_figure(
            'retention_rate_month_3', 'cohort_month', 'retained_customer_count', 'cohort_customer_count'
        ) }}
    from cohorts
    where month_number = 3
),

-- Stages as they stand at the end of each month; of the month that is not over, at the end of the run's day.
month_ends as (
    select
        cast(date_trunc('month', stage_date) as date) as stage_month,
        max(stage_date) as stage_date
    from stage_days
    group by cast(date_trunc('month', stage_date) as date)
),

stage_ends as (
    select
        month_ends.stage_month,
        stage_days.stage,
        stages.is_active,
        stage_days.customer_count
    from stage_days
    inner join month_ends on stage_days.stage_date = month_ends.stage_date
    inner join stages on stage_days.stage = stages.stage
),

standings as (
    select
        stage_month,
        cast(sum(case when is_active then customer_count else 0 end) as bigint) as active_count,
        cast(sum(case when stage = 'at_risk' then customer_count else 0 end) as bigint)
            as at_risk_count
    from stage_ends
    group by stage_month
),

active_customers as (
    select {{ kpi_figure('active_customers', 'stage_month', 'active_count') }}
    from standings
),

at_risk_rate as (
    select {{ kpi_figure('at_risk_rate', 'stage_month', 'at_risk_count', 'active_count') }}
    from standings
),

people_in_stage as (
    select
        {{ kpi_figure(
            'people_in_stage', 'stage_month', 'customer_count', dimension='stage', dimension_value='stage'
        ) }}
    from stage_ends
),

figures as (
    select * from net_revenue
    union all
    select * from orders
    union all
    select * from buyers
    union all
    select * from average_order_value
    union all
    select * from discount_rate
    union all
    select * from refund_rate
    union all
    select * from retention_rate_month_1
    union all
    select * from retention_rate_month_3
    union all
    select * from active_customers
    union all
    select * from at_risk_rate
    union all
    select * from people_in_stage
),

published as (
    select
        -- keys
        metric_name,
        value_month,
        dimension,
        dimension_value,
        -- facts
        numerator,
        denominator,
        case when is_ratio then numerator / nullif(denominator, 0) else numerator end as value
    from figures
)

select * from published
