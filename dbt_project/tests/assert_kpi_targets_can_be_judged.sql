-- A target says which way is better, how far it may be missed and when it is known, and stands once.
{{ config(meta={'dagster': {'ref': {'name': 'kpi_targets'}}}) }}

with

kpi_targets as (select * from {{ ref('kpi_targets') }}),

targets_counted as (
    select
        kpi,
        dimension,
        dimension_value,
        count(*) as target_count,
        count(distinct metric_name) as metric_count,
        count(
            case
                when direction not in ('up', 'down')
                    or tolerance_share < 0
                    or lag_months < 0
                    or (dimension is null and dimension_value is not null)
                    or dimension = 'all'
                    then 1
            end
        ) as unclear_count
    from kpi_targets
    group by kpi, dimension, dimension_value
),

unclear as (
    select *
    from targets_counted
    where target_count > 1 or metric_count > 1 or unclear_count > 0
)

select * from unclear
