-- Grain: one row per lifecycle and paid day: a day of the reporting zone on which something was paid for.
-- All purchases of one day count as one, at the moment of the first of them. Its clocks hold from that moment.

with

purchases as (select * from {{ ref('int_purchases') }}),

subscription_changes as (select * from {{ ref('int_subscription_changes') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

personas as (select * from {{ ref('int_lifecycle_personas') }}),

category_gaps as (select * from {{ ref('int_first_category_gaps') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

purchases_ranked as (
    select
        *,
        row_number() over (
            partition by lifecycle_id, paid_date
            order by paid_at asc nulls last, source_system asc nulls last, record_id asc nulls last
        ) as rank_of_day
    from purchases
),

days as (
    select
        lifecycle_id,
        event_id,
        paid_date,
        paid_at,
        row_number()
            over (partition by lifecycle_id order by paid_date asc nulls last)
            as paid_number,
        lag(paid_at) over (partition by lifecycle_id order by paid_date asc nulls last)
            as previous_paid_at,
        min(paid_at) over (partition by lifecycle_id) as first_paid_at
    from purchases_ranked
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
            partition by lifecycle_id
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
        settings.return_grace_days,
        settings.active_days,
        settings.quiet_factor,
        (
            settings.gap_prior_weight
            * coalesce(category_gaps.order_gap_days, settings.default_order_gap_days)
            + coalesce(
                cardinality(gaps_collected.last_gaps)
                * {{ list_median('gaps_collected.last_gaps') }},
                0
            )
        )
        / nullif(settings.gap_prior_weight + coalesce(cardinality(gaps_collected.last_gaps), 0), 0)
            as expected_order_gap_days
    from gaps_collected
    left join personas on gaps_collected.lifecycle_id = personas.lifecycle_id
    left join category_gaps
        on gaps_collected.lifecycle_id = category_gaps.lifecycle_id
        and gaps_collected.paid_at >= category_gaps.known_at
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

-- What was known before the purchase: the clocks that ran when it was made.
clocks as (
    select
        *,
        greatest(churn_min_days, lapse_days + churn_after_lapse_days) as churn_days,
        greatest(active_days, quiet_factor * expected_order_gap_days) as quiet_days,
        lag(due_days)
            over (partition by lifecycle_id order by paid_number asc nulls last)
            as due_days_before,
        lag(lapse_days)
            over (partition by lifecycle_id order by paid_number asc nulls last)
            as lapse_days_before
    from lapse
),

-- The state of subscriptions strictly before each paid day: the day's own rows come first at their moment.
moments as (
    select
        lifecycle_id,
        paid_number,
        0 as active_change,
        cast(null as timestamp) as paid_end_at,
        cast(null as timestamp) as one_off_at,
        0 as moment_order,
        paid_at as occurred_at
    from clocks
    union all
    select
        members.lifecycle_id,
        cast(null as bigint) as paid_number,
        subscription_changes.active_change,
        case when subscription_changes.is_paid_end then subscription_changes.occurred_at end
            as paid_end_at,
        cast(null as timestamp) as one_off_at,
        1 as moment_order,
        subscription_changes.occurred_at
    from subscription_changes
    inner join members on subscription_changes.customer_id = members.customer_id
    where subscription_changes.active_change != 0 or subscription_changes.is_paid_end
    union all
    select
        lifecycle_id,
        cast(null as bigint) as paid_number,
        0 as active_change,
        cast(null as timestamp) as paid_end_at,
        paid_at as one_off_at,
        1 as moment_order,
        paid_at as occurred_at
    from purchases
    where is_one_off
),

moments_added as (
    select
        lifecycle_id,
        paid_number,
        cast(sum(active_change) over so_far as bigint) as active_count,
        max(paid_end_at) over so_far as last_paid_end_at,
        max(one_off_at) over so_far as last_one_off_at
    from moments
    window so_far as (
        partition by lifecycle_id
        order by occurred_at asc nulls last, moment_order asc nulls last
        rows between unbounded preceding and current row
    )
),

states_before as (
    select
        lifecycle_id,
        paid_number,
        active_count > 0 as was_subscribed,
        last_paid_end_at,
        last_one_off_at
    from moments_added
    where paid_number is not null
),

returns as (
    select
        clocks.*,
        {{ days_between(
            'coalesce(greatest(clocks.previous_paid_at, states_before.last_paid_end_at), clocks.previous_paid_at)',
            'clocks.paid_at'
        ) }} as away_days,
        states_before.was_subscribed,
        states_before.last_paid_end_at,
        states_before.last_one_off_at
    from clocks
    inner join states_before
        on clocks.lifecycle_id = states_before.lifecycle_id
        and clocks.paid_number = states_before.paid_number
),

returns_judged as (
    select
        *,
        coalesce(
            not was_subscribed
            and (
                away_days >= lapse_days_before
                or (
                    last_paid_end_at >= previous_paid_at
                    and paid_at > {{ add_days('last_paid_end_at', 'return_grace_days') }}
                    and (
                        last_one_off_at is null
                        or paid_at >= {{ add_days('last_one_off_at', 'due_days_before') }}
                    )
                )
            ),
            false
        ) as is_comeback
    from returns
),

comebacks as (
    select
        -- keys
        lifecycle_id,
        event_id,
        paid_number,
        -- facts
        gap_days,
        away_days,
        expected_order_gap_days,
        due_days,
        lapse_days,
        churn_days,
        quiet_days,
        is_comeback,
        -- times
        paid_date,
        paid_at,
        first_paid_at,
        max(case when is_comeback then paid_number end) over (
            partition by lifecycle_id
            order by paid_number asc nulls last
            rows between unbounded preceding and current row
        ) as comeback_number
    from returns_judged
),

comebacks_dated as (
    select
        comebacks.lifecycle_id,
        comebacks.event_id,
        comebacks.paid_number,
        comebacks.gap_days,
        comebacks.expected_order_gap_days,
        comebacks.due_days,
        comebacks.lapse_days,
        comebacks.churn_days,
        comebacks.quiet_days,
        comebacks.is_comeback,
        came_back.away_days as came_back_gap_days,
        comebacks.paid_date,
        comebacks.paid_at,
        comebacks.first_paid_at,
        came_back.paid_at as came_back_at
    from comebacks
    left join comebacks as came_back
        on comebacks.lifecycle_id = came_back.lifecycle_id
        and comebacks.comeback_number = came_back.paid_number
)

select * from comebacks_dated
