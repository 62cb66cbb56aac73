-- A KPI with a target has a row in every month up to the run's, also where nothing is known of it; and a value that is
-- the figure of its metric.
{{ config(meta={'dagster': {'ref': {'name': 'kpi_scorecard'}}}) }}

with

scorecard as (select * from {{ ref('kpi_scorecard') }}),

kpi_targets as (select * from {{ ref('kpi_targets') }} where dimension is null),

calendar_months as (select * from {{ ref('int_months') }}),

figures as (select * from {{ ref('kpi_values') }}),

expected as (
    select
        kpi_targets.kpi,
        calendar_months.month as kpi_month
    from kpi_targets
    cross join calendar_months
),

missing as (
    select
        expected.kpi,
        expected.kpi_month
    from expected
    left join scorecard
        on expected.kpi = scorecard.kpi
        and expected.kpi_month = scorecard.kpi_month
        and scorecard.dimension = 'all'
    where scorecard.kpi is null
),

different as (
    select
        scorecard.kpi,
        scorecard.kpi_month
    from scorecard
    left join figures
        on scorecard.metric_name = figures.metric_name
        and scorecard.value_month = figures.value_month
        and scorecard.dimension = figures.dimension
        and scorecard.dimension_value = figures.dimension_value
    where scorecard.value is distinct from figures.value
),

found as (
    select * from missing
    union all
    select * from different
)

select * from found
