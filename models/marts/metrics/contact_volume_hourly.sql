-- Grain: one row per kind of contact, channel, day of the week and hour of the reporting zone, quiet hours included.
-- Of the last 12 whole weeks up to the run's day; of fewer when contacts are not known for so long.

with

contacts as (select * from {{ ref('int_support_contacts') }}),

contacts_placed as (
    select
        contact_kind,
        contact_channel,
        {{ local_date('contacted_at') }} as contact_date,
        {{ iso_weekday(local_date('contacted_at')) }} as weekday_number,
        {{ local_hour('contacted_at') }} as hour_number
    from contacts
),

weeks as (
    select
        cast(
            least(
                12,
                floor(
                    {{ calendar_days_between(
                        'min(contact_date)', 'cast(' ~ as_of_date() ~ ' + 1 as date)'
                    ) }} / 7
                )
            ) as bigint
        ) as week_count
    from contacts_placed
),

windows as (
    select
        week_count,
        cast({{ as_of_date() }} - cast(week_count * 7 - 1 as int) as date) as first_date,
        {{ as_of_date() }} as last_date
    from weeks
),

contacts_recent as (
    select contacts_placed.*
    from contacts_placed
    inner join windows
        on contacts_placed.contact_date >= windows.first_date
        and contacts_placed.contact_date <= windows.last_date
),

channels as (
    select distinct
        contact_kind,
        contact_channel
    from contacts_recent
),

weekdays as (
    select cast(weekday_number as bigint) as weekday_number
    from range(1, 8) as numbers (weekday_number)
),

hours as (
    select cast(hour_number as bigint) as hour_number
    from range(0, 24) as numbers (hour_number)
),

contacts_counted as (
    select
        contact_kind,
        contact_channel,
        weekday_number,
        hour_number,
        cast(count(*) as bigint) as contact_count
    from contacts_recent
    group by contact_kind, contact_channel, weekday_number, hour_number
),

cells as (
    select
        channels.contact_kind,
        channels.contact_channel,
        weekdays.weekday_number,
        hours.hour_number,
        windows.week_count,
        windows.first_date,
        windows.last_date
    from channels
    cross join weekdays
    cross join hours
    cross join windows
),

cells_counted as (
    select
        cells.contact_kind,
        cells.contact_channel,
        cells.weekday_number,
        cells.hour_number,
        cells.week_count,
        cells.first_date,
        cells.last_date,
        coalesce(contacts_counted.contact_count, 0) as contact_count
    from cells
    left join contacts_counted
        on cells.contact_kind = contacts_counted.contact_kind
        and cells.contact_channel = contacts_counted.contact_channel
        and cells.weekday_number = contacts_counted.weekday_number
        and cells.hour_number = contacts_counted.hour_number
),

published as (
    select
        -- keys
        contact_kind,
        contact_channel,
        weekday_number,
        hour_number,
        -- facts
        contact_count,
        week_count,
        cast(contact_count as double) / nullif(week_count, 0) as mean_per_week,
        rank() over (
            partition by contact_kind, contact_channel order by contact_count desc nulls last
        ) as peak_rank,
        -- times
        first_date,
        last_date
    from cells_counted
)

select * from published
