-- Grain: one row per customer and paid order day: a day of the reporting zone with an order that cost something.
-- All orders of one day count as one, at the moment of the first of them. Its clocks hold from that moment.

with

orders as (select * from {{ ref('int_orders') }} where is_paid and customer_id is not null),

personas as (select * from {{ ref('int_customer_personas') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

orders_ranked as (
    select
        customer_id,
        order_date,
        ordered_at,
        concat_ws(':', 'order', source_system, order_id) as event_id,
        row_number() over (
            partition by customer_id, order_date
            order by
                ordered_at asc nulls last, source_system asc nulls last, order_id asc nulls last
        ) as rank_of_day
    from orders
),

days as (
    select
        customer_id,
        event_id,
        order_date,
        ordered_at as paid_at,
        row_number()
            over (partition by customer_id order by order_date asc nulls last)
            as paid_number,
        lag(ordered_at)
            over (partition by customer_id order by order_date asc nulls last)
            as previous_paid_at,
        min(ordered_at) over (partition by customer_id) as first_paid_at
    from orders_ranked
    where rank_of_day = 1
),

gaps as (
    select
        *,
        {{ days_between('previous_paid_at', 'paid_at') }} as gap_days
    from days
),

gaps_collected as (
    select
        *,
        array_agg(gap_days) filter (where gap_days is not null) over (
            partition by customer_id
            order by paid_number asc nulls last
            rows between 9 preceding and current row
        ) as last_gaps
    from gaps
),

expectations as (
    select
        gaps_collected.*,
        settings.due_factor,
        settings.due_min_days,
        settings.due_max_days,
        settings.lapse_factor,
        settings.lapse_min_days,
        settings.lapse_max_days,
        settings.churn_min_days,
        settings.churn_after_lapse_days,
        (
            settings.gap_prior_weight * settings.default_order_gap_days
            + coalesce(
                cardinality(gaps_collected.last_gaps)
                * {{ list_median('gaps_collected.last_gaps') }},
                0
            )
        )
        / nullif(settings.gap_prior_weight + coalesce(cardinality(gaps_collected.last_gaps), 0), 0)
            as expected_order_gap_days
    from gaps_collected
    left join personas on gaps_collected.customer_id = personas.customer_id
    inner join
        settings
        on coalesce(personas.threshold_persona, 'default') = settings.threshold_persona
),

due as (
    select
        *,
        least(greatest(due_factor * expected_order_gap_days, due_min_days), due_max_days)
            as due_days
    from expectations
),

lapse as (
    select
        *,
        least(greatest(lapse_factor * due_days, lapse_min_days), lapse_max_days) as lapse_days
    from due
),

clocks as (
    select
        *,
        greatest(churn_min_days, lapse_days + churn_after_lapse_days) as churn_days,
        -- As known before the order: the clock that ran when it was placed.
        coalesce(
            gap_days
            >= lag(lapse_days) over (partition by customer_id order by paid_number asc nulls last),
            false
        ) as is_comeback
    from lapse
),

comebacks as (
    select
        -- keys
        customer_id,
        event_id,
        paid_number,
        -- facts
        gap_days,
        expected_order_gap_days,
        due_days,
        lapse_days,
        churn_days,
        is_comeback,
        -- times
        order_date,
        paid_at,
        first_paid_at,
        max(case when is_comeback then paid_number end) over (
            partition by customer_id
            order by paid_number asc nulls last
            rows between unbounded preceding and current row
        ) as comeback_number
    from clocks
),

comebacks_dated as (
    select
        comebacks.customer_id,
        comebacks.event_id,
        comebacks.paid_number,
        comebacks.gap_days,
        comebacks.expected_order_gap_days,
        comebacks.due_days,
        comebacks.lapse_days,
        comebacks.churn_days,
        comebacks.is_comeback,
        came_back.gap_days as came_back_gap_days,
        comebacks.order_date,
        comebacks.paid_at,
        comebacks.first_paid_at,
        came_back.paid_at as came_back_at
    from comebacks
    left join comebacks as came_back
        on comebacks.customer_id = came_back.customer_id
        and comebacks.comeback_number = came_back.paid_number
)

select * from comebacks_dated
