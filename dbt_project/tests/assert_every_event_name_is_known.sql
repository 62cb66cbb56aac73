-- Names that neither the vocabulary nor the vendors' aliases know are counted as `other`: add them to
-- seeds/touchpoint_aliases.csv.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_timeline'}}}) }}

with

touchpoints as (select * from {{ ref('stg_touchpoints') }}),

timeline as (select * from {{ ref('int_timeline') }} where event_name = 'other'),

unknown_names as (
    select
        touchpoints.source_event_name,
        cast(count(*) as bigint) as event_count
    from timeline
    inner join touchpoints
        on timeline.event_id
        = concat_ws(':', 'touchpoint', touchpoints.source_system, touchpoints.touchpoint_id)
    where lower(trim(touchpoints.source_event_name)) != 'other'
    group by touchpoints.source_event_name
)

select * from unknown_names
