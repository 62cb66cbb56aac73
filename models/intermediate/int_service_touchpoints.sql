-- Grain: one row per call, chat, conversation with a bot and survey sent that a touchpoint tells of, also of nobody known.

with

touchpoints as (select * from {{ ref('stg_touchpoints') }}),

touchpoint_aliases as (select * from {{ ref('touchpoint_aliases') }}),

kinds as (
    select event_name
    from
        (values ('call'), ('chat'), ('bot_session'), ('survey_sent')) as service_events (event_name)
),

names as (
    select
        event_name as normalised_event_name,
        event_name
    from kinds
    union
    select
        touchpoint_aliases.source_event_name as normalised_event_name,
        kinds.event_name
    from touchpoint_aliases
    inner join kinds on touchpoint_aliases.event_name = kinds.event_name
),

touchpoints_named as (
    select
        source_system,
        touchpoint_id,
        order_id,
        channel,
        content_key,
        is_machine,
        occurred_at,
        lower(replace(trim(source_event_name), ' ', '_')) as normalised_event_name
    from touchpoints
),

published as (
    select
        -- keys
        touchpoints_named.source_system,
        touchpoints_named.touchpoint_id,
        touchpoints_named.order_id,
        -- facts
        names.event_name,
        touchpoints_named.channel,
        lower(trim(touchpoints_named.content_key)) as content_name,
        coalesce(touchpoints_named.is_machine, false) as is_machine,
        -- times
        touchpoints_named.occurred_at
    from touchpoints_named
    inner join names on touchpoints_named.normalised_event_name = names.normalised_event_name
)

select * from published
