-- Grain: one row per set of thresholds: `default`, and one per persona that overrides some of them.

with

thresholds as (select * from {{ source('ops', 'lifecycle_settings') }}),

named as (
    select
        -- keys
        threshold_persona,
        -- facts
        {{ list_columns(lifecycle_setting_columns()) }}
    from thresholds
)

select * from named
