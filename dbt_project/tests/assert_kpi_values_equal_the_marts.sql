-- The long table of figures says what the marts say: revenue in all, everybody in exactly one stage, and the customers
-- lost of all personas, and of all channels, are the customers lost.
{{ config(meta={'dagster': {'ref': {'name': 'kpi_values'}}}) }}

with

figures as (select * from {{ ref('kpi_values') }}),

revenue as (select * from {{ ref('revenue_monthly') }}),

stage_days as (select * from {{ ref('lifecycle_stage_daily') }} where scheme = 'lifecycle'),

figures_added as (
    select
        cast(sum(case when metric_name = 'net_revenue' then value else 0 end) as double)
            as net_revenue,
        cast(sum(case when metric_name = 'orders' then value else 0 end) as double) as order_count
    from figures
    where dimension = 'all'
),

revenue_added as (
    select
        cast(coalesce(sum(net_revenue_amount), 0) as double) as net_revenue,
        cast(coalesce(sum(order_count), 0) as double) as order_count
    from revenue
),

everybody as (
    select
        cast(date_trunc('month', stage_date) as date) as value_month,
        stage_date,
        cast(sum(customer_count) as double) as people_count
    from stage_days
    group by stage_date
),

month_ends as (
    select
        value_month,
        max(stage_date) as stage_date
    from everybody
    group by value_month
),

people as (
    select
        value_month,
        cast(sum(value) as double) as people_count
    from figures
    where metric_name = 'people_in_stage'
    group by value_month
),

losses as (
    select
        value_month,
        dimension,
        cast(sum(numerator) as double) as lost_count,
        cast(sum(denominator) as double) as opening_count
    from figures
    where metric_name = 'churn_rate'
    group by value_month, dimension
),

differences as (
    select 'revenue' as figure
    from figures_added
    cross join revenue_added
    where abs(coalesce(figures_added.net_revenue, 0) - revenue_added.net_revenue) > 0.005
        or coalesce(figures_added.order_count, 0) != revenue_added.order_count
    union all
    select 'people' as figure
    from month_ends
    inner join everybody on month_ends.stage_date = everybody.stage_date
    left join people on month_ends.value_month = people.value_month
    where people.people_count is distinct from everybody.people_count
    union all
    select 'losses' as figure
    from losses
    inner join losses as all_losses
        on losses.value_month = all_losses.value_month
        and all_losses.dimension = 'all'
    where losses.dimension != 'all'
        and (
            losses.lost_count is distinct from all_losses.lost_count
            or losses.opening_count is distinct from all_losses.opening_count
        )
)

select * from differences
