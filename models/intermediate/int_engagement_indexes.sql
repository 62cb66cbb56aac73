-- Grain: one row per customer who ever did something: what counts for their engagement, and the index, 0 to 100.
-- index = 100 x sum(weight x component) / sum(weight). A component is what was counted in its window over its saturation,
-- 1 at most; recency halves every `saturation` days. Weights, windows and saturations stand in a seed.

with

weights as (select * from {{ ref('engagement_weights') }}),

active_days as (select * from {{ ref('int_active_days') }}),

order_days as (select * from {{ ref('int_paid_order_days') }}),

windows as (
    select
        max(case when component = 'active_days' then window_days end) as active_days_window,
        max(case when component = 'visits' then window_days end) as visits_window,
        max(case when component = 'clicks' then window_days end) as clicks_window,
        max(case when component = 'used_days' then window_days end) as used_days_window,
        max(case when component = 'orders' then window_days end) as orders_window,
        max(case when component = 'opinions' then window_days end) as opinions_window
    from weights
),

active_days_aged as (
    select
        *,
        {{ calendar_days_between('active_date', as_of_date()) }} as age_days
    from active_days
),

activity_counted as (
    select
        active_days_aged.customer_id,
        min(case when active_days_aged.is_active then active_days_aged.age_days end)
            as recency_days,
        count(
            case
                when
                    active_days_aged.is_active
                    and active_days_aged.age_days < windows.active_days_window
                    then 1
            end
        ) as active_day_count,
        cast(
            sum(
                case
                    when active_days_aged.age_days < windows.visits_window
                        then active_days_aged.visit_count
                    else 0
                end
            ) as bigint
        ) as visit_count,
        count(
            case
                when
                    active_days_aged.has_click
                    and active_days_aged.age_days < windows.clicks_window
                    then 1
            end
        ) as click_day_count,
        count(
            case
                when
                    active_days_aged.is_used
                    and active_days_aged.age_days < windows.used_days_window
                    then 1
            end
        ) as used_day_count,
        count(
            case
                when
                    active_days_aged.has_opinion
                    and active_days_aged.age_days < windows.opinions_window
                    then 1
            end
        ) as opinion_day_count
    from active_days_aged
    cross join windows
    group by active_days_aged.customer_id
),

orders_counted as (
    select
        order_days.customer_id,
        count(
            case
                when
                    {{ calendar_days_between('order_days.order_date', as_of_date()) }}
                    < windows.orders_window
                    then 1
            end
        ) as order_day_count
    from order_days
    cross join windows
    group by order_days.customer_id
),

customers as (
    select
        activity_counted.customer_id,
        activity_counted.recency_days,
        cast(activity_counted.active_day_count as bigint) as active_day_count,
        activity_counted.visit_count,
        cast(activity_counted.click_day_count as bigint) as click_day_count,
        cast(activity_counted.used_day_count as bigint) as used_day_count,
        cast(coalesce(orders_counted.order_day_count, 0) as bigint) as order_day_count,
        cast(activity_counted.opinion_day_count as bigint) as opinion_day_count
    from activity_counted
    left join orders_counted on activity_counted.customer_id = orders_counted.customer_id
),

components as (
    select
        customers.customer_id,
        weights.component,
        weights.weight,
        weights.saturation,
        cast(
            case weights.component
                when 'recency' then customers.recency_days
                when 'active_days' then customers.active_day_count
                when 'visits' then customers.visit_count
                when 'clicks' then customers.click_day_count
                when 'used_days' then customers.used_day_count
                when 'orders' then customers.order_day_count
                when 'opinions' then customers.opinion_day_count
            end as double
        ) as component_value
    from customers
    cross join weights
),

-- In decimals, so that it adds up to the same whatever the order.
points as (
    select
        customer_id,
        weight,
        cast(
            round(
                cast(weight as double)
                * coalesce(
                    case
                        when component = 'recency'
                            then power(0.5, component_value / nullif(saturation, 0))
                        else least(component_value / nullif(saturation, 0), 1)
                    end,
                    0
                ),
                6
            ) as decimal(18, 6)
        ) as weighted_component
    from components
),

points_added as (
    select
        customer_id,
        cast(sum(weighted_component) as double) as weighted_components,
        cast(sum(weight) as double) as weights
    from points
    group by customer_id
),

indexes as (
    select
        -- keys
        customers.customer_id,
        -- facts
        customers.recency_days,
        customers.active_day_count,
        customers.visit_count,
        customers.click_day_count,
        customers.used_day_count,
        customers.order_day_count,
        customers.opinion_day_count,
        round(100 * points_added.weighted_components / nullif(points_added.weights, 0), 2)
            as engagement_index
    from customers
    inner join points_added on customers.customer_id = points_added.customer_id
)

select * from indexes
