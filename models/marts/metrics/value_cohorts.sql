-- Grain: one row per month of a first purchase and month after it that lies in the data.
-- A cell is null until its month has passed for everybody; amounts are those since the first purchase, added up.

with

people as (
    select * from {{ ref('int_customer_beginnings') }} where first_paid_month is not null
),

cohort_values as (select * from {{ ref('int_cohort_values') }}),

costs as (select * from {{ ref('acquisition_cost_monthly') }} where is_complete),

month_numbers as (
    select cast(month_number as bigint) as month_number
    from range(0, 1200) as numbers (month_number)
),

cohorts as (
    select
        first_paid_month as cohort_month,
        cast(count(*) as bigint) as cohort_customer_count
    from people
    group by first_paid_month
),

first_years as (
    select
        cohort_month,
        cast(sum(first_year_margin_amount) as decimal(18, 2)) as first_year_margin_amount
    from cohort_values
    group by cohort_month
),

cells as (
    select
        cohorts.cohort_month,
        month_numbers.month_number,
        cohorts.cohort_customer_count,
        cast(
            cohorts.cohort_month
            + cast(month_numbers.month_number + 1 as int) * interval 1 month as date
        )
        <= cast({{ as_of_date() }} + 1 as date) as is_complete
    from cohorts
    inner join month_numbers
        on month_numbers.month_number
        <= {{ calendar_months_between(
            'cohorts.cohort_month', "cast(date_trunc('month', " ~ as_of_date() ~ ") as date)"
        ) }}
),

cells_added as (
    select
        cells.cohort_month,
        cells.month_number,
        cells.cohort_customer_count,
        cells.is_complete,
        coalesce(cohort_values.ordering_customer_count, 0) as ordering_customer_count,
        cast(sum(coalesce(cohort_values.order_count, 0)) over so_far as bigint) as order_count,
        cast(sum(coalesce(cohort_values.order_without_cost_count, 0)) over so_far as bigint)
            as order_without_cost_count,
        cast(sum(coalesce(cohort_values.net_revenue_amount, 0)) over so_far as decimal(18, 2))
            as net_revenue_amount,
        cast(
            sum(
                coalesce(cohort_values.net_revenue_amount, 0)
                - coalesce(cohort_values.cost_amount, 0)
            ) over so_far as decimal(18, 2)
        ) as margin_amount,
        cast(
            sum(coalesce(cohort_values.revenue_without_cost_amount, 0)) over so_far
            as decimal(18, 2)
        ) as revenue_without_cost_amount
    from cells
    left join cohort_values
        on cells.cohort_month = cohort_values.cohort_month
        and cells.month_number = cohort_values.month_number
    window so_far as (
        partition by cells.cohort_month
        order by cells.month_number asc nulls last
        rows between unbounded preceding and current row
    )
),

cells_passed as (select * from cells_added where is_complete),

cells_judged as (
    select
        cells_passed.cohort_month,
        cells_passed.month_number,
        cells_passed.ordering_customer_count,
        cells_passed.net_revenue_amount,
        case
            when cells_passed.order_without_cost_count = 0 then 'margin'
            when cells_passed.order_without_cost_count = cells_passed.order_count
                then 'net_revenue'
            else 'mixed'
        end as margin_basis,
        case when cells_passed.order_without_cost_count = 0 then cells_passed.margin_amount end
            as gross_margin_amount,
        cells_passed.margin_amount,
        cells_passed.revenue_without_cost_amount,
        -- The cohort's cost is its CAC times its customers: both sides may be compared as they are.
        cells_passed.margin_amount >= costs.acquisition_cost_amount as is_paid_back,
        case when cells_passed.month_number = 12 then first_years.first_year_margin_amount end
            as first_year_margin_amount
    from cells_passed
    left join costs on cells_passed.cohort_month = costs.acquisition_month
    left join first_years on cells_passed.cohort_month = first_years.cohort_month
),

paybacks as (
    select
        cohort_month,
        min(month_number) as payback_month_number
    from cells_judged
    where is_paid_back
    group by cohort_month
),

published as (
    select
        -- keys
        cells.cohort_month,
        cells.month_number,
        -- facts
        cells.is_complete,
        cells.cohort_customer_count,
        cells_judged.ordering_customer_count,
        cast({{ reporting_currency() }} as string) as currency,
        cells_judged.net_revenue_amount,
        cells_judged.gross_margin_amount,
        cells_judged.margin_basis,
        cells_judged.margin_amount,
        cells_judged.revenue_without_cost_amount,
        cast(
            round(
                cast(cells_judged.margin_amount as double)
                / nullif(cells.cohort_customer_count, 0),
                2
            ) as decimal(18, 2)
        ) as margin_per_customer_amount,
        costs.acquisition_cost_amount,
        costs.blended_cac_amount as cac_amount,
        cells_judged.is_paid_back,
        paybacks.payback_month_number,
        cells_judged.first_year_margin_amount,
        cast(cells_judged.first_year_margin_amount as double)
        / nullif(cast(costs.acquisition_cost_amount as double), 0) as clv_to_cac_ratio,
        false as is_predicted
    from cells
    left join cells_judged
        on cells.cohort_month = cells_judged.cohort_month
        and cells.month_number = cells_judged.month_number
    left join costs on cells.cohort_month = costs.acquisition_month
    left join paybacks on cells.cohort_month = paybacks.cohort_month
)

select * from published
