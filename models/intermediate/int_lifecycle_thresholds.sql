-- Grain: one row per set of thresholds: `default`, and one per persona that overrides some of them.
-- Segments read the thresholds here: nothing behind the intermediate layer reaches into staging.

with

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

thresholds as (
    select
        -- keys
        threshold_persona,
        -- facts
        {{ list_columns(lifecycle_setting_columns()) }}
    from settings
)

select * from thresholds
