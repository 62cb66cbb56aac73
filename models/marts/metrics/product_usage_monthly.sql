-- Grain: one row per month of the reporting zone, from that of the first event to that of the run's day.
-- Looks back over `usage_days` from the month's last day, or from the run's.

with

months as (select * from {{ ref('int_months') }}),

settings as (select * from {{ ref('int_metric_windows') }}),

active_days as (select * from {{ ref('int_active_days') }} where is_used),

feature_days as (select * from {{ ref('int_feature_days') }} where key_feature is not null),

key_features as (select * from {{ ref('int_key_features') }}),

subscription_changes as (
    select * from {{ ref('int_subscription_changes') }} where active_change != 0
),

months_closed as (
    select
        months.month,
        months.is_complete,
        months.month_ends_at,
        settings.usage_days,
        least(months.last_date, {{ as_of_date() }}) as closing_date,
        cast(
            least(months.last_date, {{ as_of_date() }}) - cast(settings.usage_days as int) + 1
            as date
        ) as opening_date
    from months
    cross join settings
),

dates as (
    select distinct active_date as used_date
    from active_days
),

date_months as (
    select
        dates.used_date,
        months_closed.month
    from dates
    inner join months_closed
        on dates.used_date >= months_closed.opening_date
        and dates.used_date <= months_closed.closing_date
),

user_months as (
    select
        date_months.month,
        active_days.customer_id,
        count(*) as active_day_count
    from active_days
    inner join date_months on active_days.active_date = date_months.used_date
    group by date_months.month, active_days.customer_id
),

user_features as (
    select distinct
        date_months.month,
        feature_days.customer_id,
        feature_days.key_feature
    from feature_days
    inner join date_months on feature_days.used_date = date_months.used_date
),

features_added as (
    select
        month,
        count(*) as key_feature_use_count
    from user_features
    group by month
),

key_features_counted as (
    select cast(count(distinct key_feature) as bigint) as key_feature_count
    from key_features
),

subscriptions_added as (
    select
        customer_id,
        occurred_at as valid_from_at,
        lead(occurred_at) over (partition by customer_id order by occurred_at asc nulls last)
            as valid_to_at,
        cast(
            sum(active_change) over (
                partition by customer_id
                order by occurred_at asc nulls last
            ) as bigint
        ) as active_count
    from subscription_changes
),

-- Of several changes of one moment all but one are spans of no length.
subscriber_months as (
    select distinct
        months_closed.month,
        subscriptions_added.customer_id
    from subscriptions_added
    inner join months_closed
        on subscriptions_added.valid_from_at < months_closed.month_ends_at
        and (
            subscriptions_added.valid_to_at is null
            or subscriptions_added.valid_to_at >= months_closed.month_ends_at
        )
    where subscriptions_added.active_count > 0
),

subscribers_counted as (
    select
        month,
        count(*) as subscriber_count
    from subscriber_months
    group by month
),

users_counted as (
    select
        user_months.month,
        count(*) as user_count,
        count(subscriber_months.customer_id) as subscriber_user_count,
        cast(sum(user_months.active_day_count) as bigint) as active_day_count
    from user_months
    left join subscriber_months
        on user_months.month = subscriber_months.month
        and user_months.customer_id = subscriber_months.customer_id
    group by user_months.month
),

counted as (
    select
        months_closed.month,
        months_closed.is_complete,
        cast(months_closed.usage_days as bigint) as usage_days,
        cast(coalesce(subscribers_counted.subscriber_count, 0) as bigint) as subscriber_count,
        cast(coalesce(users_counted.user_count, 0) as bigint) as user_count,
        cast(coalesce(users_counted.subscriber_user_count, 0) as bigint) as subscriber_user_count,
        coalesce(users_counted.active_day_count, 0) as active_day_count,
        cast(coalesce(features_added.key_feature_use_count, 0) as bigint) as key_feature_use_count,
        key_features_counted.key_feature_count
    from months_closed
    cross join key_features_counted
    left join subscribers_counted on months_closed.month = subscribers_counted.month
    left join users_counted on months_closed.month = users_counted.month
    left join features_added on months_closed.month = features_added.month
),

published as (
    select
        -- keys
        month as usage_month,
        -- facts
        is_complete,
        usage_days,
        subscriber_count,
        user_count,
        subscriber_user_count,
        cast(subscriber_user_count as double) / nullif(subscriber_count, 0) as subscriber_use_rate,
        key_feature_count,
        key_feature_use_count,
        cast(key_feature_use_count as double)
        / nullif(user_count, 0)
        / nullif(key_feature_count, 0) as mean_breadth,
        active_day_count,
        cast(active_day_count as double)
        * 7
        / nullif(user_count, 0)
        / nullif(usage_days, 0) as mean_active_days_per_week
    from counted
)

select * from published
