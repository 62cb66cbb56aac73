-- Grain: one row: the windows of the metric marts, which read them here and not in staging.
with

settings as (select * from {{ ref('stg_metric_settings') }}),

windows as (
    select
        click_days,
        usage_days,
        refund_basis
    from settings
)

select * from windows
