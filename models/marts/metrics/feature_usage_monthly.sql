-- Grain: one row per month and feature that was used in it; `(none)` where a source names none.

with

months as (select * from {{ ref('int_months') }}),

feature_days as (select * from {{ ref('int_feature_days') }}),

uses_counted as (
    select
        cast(date_trunc('month', used_date) as date) as month,
        feature_name,
        bool_or(key_feature is not null) as is_key_feature,
        cast(count(distinct customer_id) as bigint) as user_count,
        cast(count(*) as bigint) as use_day_count,
        cast(sum(event_count) as bigint) as event_count
    from feature_days
    group by cast(date_trunc('month', used_date) as date), feature_name
),

published as (
    select
        -- keys
        uses_counted.month as usage_month,
        uses_counted.feature_name,
        -- facts
        months.is_complete,
        uses_counted.is_key_feature,
        uses_counted.user_count,
        uses_counted.use_day_count,
        uses_counted.event_count
    from uses_counted
    inner join months on uses_counted.month = months.month
)

select * from published
