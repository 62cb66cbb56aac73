-- Grain: one row per KPI, month and value of its dimension (`all` for the whole), without a gap to the run's month.
-- A KPI whose metric is known later stands in the month in which it becomes known.

with

calendar_months as (select * from {{ ref('int_months') }}),

figures as (select * from {{ ref('kpi_values') }}),

kpi_targets as (select * from {{ ref('kpi_targets') }}),

targets as (
    select
        kpi,
        metric_name,
        coalesce(dimension, 'all') as dimension,
        case when dimension is null then 'all' else dimension_value end as dimension_value,
        direction,
        cast(target_value as double) as target_value,
        cast(coalesce(tolerance_share, 0) as double) as tolerance_share,
        cast(coalesce(lag_months, 0) as bigint) as lag_months,
        unit,
        owner,
        description
    from kpi_targets
),

first_months as (
    select min(month) as first_month
    from calendar_months
),

-- The values of each dimension that have figures, and since when.
scopes as (
    select
        metric_name,
        dimension,
        dimension_value,
        min(value_month) as first_value_month
    from figures
    where dimension != 'all'
    group by metric_name, dimension, dimension_value
),

-- A target without a value of its dimension is for all values that have no target of their own.
aimed as (
    select
        targets.kpi,
        targets.metric_name,
        targets.dimension,
        targets.dimension_value,
        targets.direction,
        targets.target_value,
        targets.tolerance_share,
        targets.lag_months,
        targets.unit,
        targets.owner,
        targets.description,
        first_months.first_month
    from targets
    cross join first_months
    where targets.dimension_value is not null
    union all
    select
        targets.kpi,
        targets.metric_name,
        targets.dimension,
        scopes.dimension_value,
        targets.direction,
        targets.target_value,
        targets.tolerance_share,
        targets.lag_months,
        targets.unit,
        targets.owner,
        targets.description,
        cast(
            scopes.first_value_month + cast(targets.lag_months as int) * interval 1 month as date
        ) as first_month
    from targets
    inner join scopes
        on targets.metric_name = scopes.metric_name
        and targets.dimension = scopes.dimension
    left join targets as own_targets
        on targets.kpi = own_targets.kpi
        and targets.dimension = own_targets.dimension
        and scopes.dimension_value = own_targets.dimension_value
    where targets.dimension_value is null
        and own_targets.kpi is null
),

months_spined as (
    select
        aimed.kpi,
        aimed.metric_name,
        calendar_months.month as kpi_month,
        cast(
            calendar_months.month - cast(aimed.lag_months as int) * interval 1 month as date
        ) as value_month,
        aimed.dimension,
        aimed.dimension_value,
        aimed.direction,
        aimed.target_value,
        aimed.tolerance_share,
        aimed.unit,
        aimed.owner,
        aimed.description,
        calendar_months.is_complete
    from aimed
    inner join calendar_months on aimed.first_month <= calendar_months.month
),

valued as (
    select
        months_spined.kpi,
        months_spined.metric_name,
        months_spined.kpi_month,
        months_spined.value_month,
        months_spined.dimension,
        months_spined.dimension_value,
        months_spined.direction,
        months_spined.target_value,
        months_spined.tolerance_share,
        months_spined.unit,
        months_spined.owner,
        months_spined.description,
        months_spined.is_complete,
        figures.numerator,
        figures.denominator,
        figures.value,
        lag(figures.value) over (
            partition by
                months_spined.kpi, months_spined.dimension, months_spined.dimension_value
            order by months_spined.kpi_month asc nulls last
        ) as previous_value,
        -- How far the target is missed; nothing and less than nothing meet it. Rounded, or 0.3 less a tenth is not 0.27.
        round(
            case
                when months_spined.direction = 'up'
                    then months_spined.target_value - figures.value
                when months_spined.direction = 'down'
                    then figures.value - months_spined.target_value
            end, 9
        ) as missing_value
    from months_spined
    left join figures
        on months_spined.metric_name = figures.metric_name
        and months_spined.value_month = figures.value_month
        and months_spined.dimension = figures.dimension
        and months_spined.dimension_value = figures.dimension_value
),

judged as (
    select
        -- keys
        kpi,
        kpi_month,
        dimension,
        dimension_value,
        -- facts
        metric_name,
        description,
        owner,
        unit,
        cast(case when unit = 'money' then {{ reporting_currency() }} end as string) as currency,
        direction,
        numerator,
        denominator,
        value,
        previous_value,
        round(value - previous_value, 9) as change,
        target_value,
        tolerance_share,
        case
            when missing_value is null then 'no_data'
            when missing_value <= 0 then 'on_track'
            when missing_value <= round(abs(target_value) * tolerance_share, 9) then 'at_risk'
            else 'off_track'
        end as status,
        is_complete,
        -- times
        value_month
    from valued
)

select * from judged
