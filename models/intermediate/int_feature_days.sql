-- Grain: one row per customer, feature and day of the reporting zone on which they used it. Machines are left out.

with

touchpoints as (select * from {{ ref('stg_touchpoints') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

touchpoint_aliases as (select * from {{ ref('touchpoint_aliases') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'touchpoints'
),

key_features as (select * from {{ ref('int_key_features') }}),

-- Names are read as the timeline reads them.
told_names as (
    select event_name as told_name
    from touchpoint_types
    where event_name = 'feature_used'
    union all
    select touchpoint_aliases.source_event_name as told_name
    from touchpoint_aliases
    anti join touchpoint_types on touchpoint_aliases.source_event_name = touchpoint_types.event_name
    where touchpoint_aliases.event_name = 'feature_used'
),

uses as (
    select
        touchpoints.source_system,
        touchpoints.touchpoint_id,
        coalesce(trim(touchpoints.feature_name), '(none)') as feature_name,
        {{ local_date('touchpoints.occurred_at') }} as used_date
    from touchpoints
    semi join told_names
        on lower(replace(trim(touchpoints.source_event_name), ' ', '_')) = told_names.told_name
    where not coalesce(touchpoints.is_machine, false)
),

days as (
    select
        links.customer_id,
        uses.feature_name,
        uses.used_date,
        cast(count(*) as bigint) as event_count
    from uses
    inner join links
        on uses.source_system = links.source_system
        and uses.touchpoint_id = links.record_id
    group by links.customer_id, uses.feature_name, uses.used_date
),

published as (
    select
        -- keys
        days.customer_id,
        days.feature_name,
        days.used_date,
        -- facts
        key_features.key_feature,
        days.event_count
    from days
    left join key_features
        on lower(replace(days.feature_name, ' ', '_')) = key_features.told_name
)

select * from published
