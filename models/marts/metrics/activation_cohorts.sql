-- Grain: one row per month of the start (first purchase, or sign-up) and acquisition channel in which anybody started.
-- Everything but the size is null until the window has passed for everybody of the month.

with

activations as (select * from {{ ref('int_activations') }}),

cohorts_counted as (
    select
        cohort_month,
        acquisition_channel,
        min(activation_basis) as activation_basis,
        min(activation_days) as activation_days,
        bool_and(is_complete) as is_complete,
        cast(count(*) as bigint) as cohort_customer_count
    from activations
    group by cohort_month, acquisition_channel
),

-- Of times nothing is said before the window has passed: whoever is slow is not among them yet.
outcomes as (
    select
        cohort_month,
        acquisition_channel,
        cast(count(case when is_activated then 1 end) as bigint) as activated_count,
        cast(count(case when is_activated_before then 1 end) as bigint) as activated_before_count,
        cast(median(days_to_activate) as double) as median_days_to_activate,
        cast(percentile_cont(0.75) within group (order by days_to_activate) as double)
            as p75_days_to_activate,
        cast(percentile_cont(0.9) within group (order by days_to_activate) as double)
            as p90_days_to_activate,
        cast(count(case when is_valued then 1 end) as bigint) as value_count,
        cast(median(days_to_value) as double) as median_days_to_value,
        cast(percentile_cont(0.75) within group (order by days_to_value) as double)
            as p75_days_to_value,
        cast(percentile_cont(0.9) within group (order by days_to_value) as double)
            as p90_days_to_value
    from activations
    where is_window_passed
    group by cohort_month, acquisition_channel
),

published as (
    select
        -- keys
        cohorts_counted.cohort_month,
        cohorts_counted.acquisition_channel,
        -- facts
        cohorts_counted.activation_basis,
        cohorts_counted.activation_days,
        cohorts_counted.is_complete,
        cohorts_counted.cohort_customer_count,
        outcomes.activated_count,
        outcomes.activated_before_count,
        cast(outcomes.activated_count as double)
        / nullif(cohorts_counted.cohort_customer_count, 0) as activation_rate,
        outcomes.median_days_to_activate,
        outcomes.p75_days_to_activate,
        outcomes.p90_days_to_activate,
        outcomes.value_count,
        cast(outcomes.value_count as double)
        / nullif(cohorts_counted.cohort_customer_count, 0) as value_rate,
        outcomes.median_days_to_value,
        outcomes.p75_days_to_value,
        outcomes.p90_days_to_value
    from cohorts_counted
    left join outcomes
        on cohorts_counted.cohort_month = outcomes.cohort_month
        and cohorts_counted.acquisition_channel = outcomes.acquisition_channel
)

select * from published
