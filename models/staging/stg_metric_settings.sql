-- Grain: one row: the windows and bases of the metric marts and of attribution.

with

metric_settings as (select * from {{ source('ops', 'metric_settings') }}),

named as (
    select
        -- facts
        refund_basis,
        acquire_share,
        activation_basis,
        activation_days,
        onboarding_days,
        abandoned_after_hours,
        recovery_days,
        click_days,
        first_contact_days,
        repeat_contact_days,
        deflection_hours,
        usage_days,
        lookback_days,
        conversion as attribution_conversion,
        half_life_days,
        position_end_share,
        null_path_days
    from metric_settings
)

select * from named
