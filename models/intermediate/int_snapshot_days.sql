-- Grain: one row per day at whose end the schemes that rank all customers are kept: the last month ends, and the run's
-- own day. Each begins where the one before it ends; the first reaches back to the beginning.

with

settings as (
    select *
    from {{ ref('stg_lifecycle_settings') }}
    where threshold_persona = 'default'
),

states as (select * from {{ ref('int_lifecycle_states') }} where previous_state is null),

first_days as (
    select {{ local_date('min(valid_from_at)') }} as first_date
    from states
),

months as (
    select cast(month_number as int) as month_number
    from range(0, 241) as numbers (month_number)
),

month_ends as (
    select
        cast(
            cast(
                cast(date_trunc('month', {{ as_of_date() }}) as date)
                - months.month_number * interval 1 month as date
            )
            - 1 as date
        ) as snapshot_date
    from months
    inner join settings on months.month_number < settings.snapshot_months
),

days as (
    select snapshot_date from month_ends
    union
    select {{ as_of_date() }} as snapshot_date
),

days_numbered as (
    select
        -- keys
        days.snapshot_date,
        row_number() over (order by days.snapshot_date asc nulls last) as snapshot_number,
        -- facts
        lag(days.snapshot_date)
            over (order by days.snapshot_date asc nulls last)
            as previous_snapshot_date,
        -- times
        {{ local_midnight('days.snapshot_date + 1') }} as snapshot_end_at
    from days
    inner join first_days on days.snapshot_date >= first_days.first_date
)

select * from days_numbered
