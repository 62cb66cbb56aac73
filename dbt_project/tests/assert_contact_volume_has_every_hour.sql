-- Each kind and channel has the 168 hours of a week, and in them every contact of the weeks counted.
{{ config(meta={'dagster': {'ref': {'name': 'contact_volume_hourly'}}}) }}

with

contacts as (select * from {{ ref('int_support_contacts') }}),

hours as (select * from {{ ref('contact_volume_hourly') }}),

-- Twelve weeks, or as many whole ones as there are since the first contact.
first_dates as (
    select
        greatest(
            cast({{ as_of_date() }} - 83 as date), min({{ local_date('contacted_at') }})
        ) as first_date
    from contacts
),

windows as (
    select
        cast(
            first_date + cast(
                mod({{ calendar_days_between('first_date', as_of_date()) }} + 1, 7) as int
            ) as date
        ) as first_date
    from first_dates
),

contacts_counted as (
    select
        contacts.contact_kind,
        contacts.contact_channel,
        count(*) as contact_count
    from contacts
    inner join windows on {{ local_date('contacts.contacted_at') }} >= windows.first_date
    group by contacts.contact_kind, contacts.contact_channel
),

hours_added as (
    select
        contact_kind,
        contact_channel,
        count(*) as hour_count,
        min(peak_rank) as first_rank,
        cast(sum(contact_count) as bigint) as contact_count
    from hours
    group by contact_kind, contact_channel
),

differences as (
    select
        coalesce(contacts_counted.contact_kind, hours_added.contact_kind) as contact_kind,
        coalesce(contacts_counted.contact_channel, hours_added.contact_channel) as contact_channel
    from contacts_counted
    full outer join hours_added
        on contacts_counted.contact_kind = hours_added.contact_kind
        and contacts_counted.contact_channel = hours_added.contact_channel
    where contacts_counted.contact_count is distinct from hours_added.contact_count
        or hours_added.hour_count is distinct from 168
        or hours_added.first_rank is distinct from 1
)

select * from differences
