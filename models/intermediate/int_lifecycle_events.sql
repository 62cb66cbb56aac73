-- Grain: one row per lifecycle and moment at which something happens that can change where its customers stand.
-- Of what only says "still there" the first and the last of a day are enough: no clock is shorter than a day.

with

timeline as (select * from {{ ref('int_timeline') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

purchases as (select * from {{ ref('int_purchases') }}),

paid_days as (select * from {{ ref('int_paid_days') }}),

kept_changes as (select * from {{ ref('int_kept_changes') }}),

orders as (
    select * from {{ ref('int_orders') }} where is_counted and customer_id is not null
),

refunds as (
    select * from {{ ref('int_refunds') }} where is_counted and customer_id is not null
),

expansions as (select * from {{ ref('int_category_expansions') }}),

subscription_changes as (select * from {{ ref('int_subscription_changes') }}),

survey_scores as (select * from {{ ref('int_survey_scores') }}),

loyalty_tiers_reached as (select * from {{ ref('int_loyalty_tiers_reached') }}),

usage_declines as (select * from {{ ref('int_usage_declines') }}),

ticket_pressures as (select * from {{ ref('int_ticket_pressures') }}),

identifications as (select * from {{ ref('int_identifications') }}),

timeline_typed as (
    select
        timeline.lifecycle_id,
        timeline.event_name,
        timeline.is_touchpoint,
        touchpoint_types.is_human_activity and not timeline.is_machine as is_human_activity,
        touchpoint_types.is_weighing and not timeline.is_machine as is_weighing,
        touchpoint_types.is_cart and not timeline.is_machine as is_cart,
        touchpoint_types.is_usage and not timeline.is_machine as is_usage,
        touchpoint_types.is_activation and not timeline.is_machine as is_activation,
        touchpoint_types.is_advocacy
        or coalesce(timeline.is_good_review, false) as is_advocacy,
        timeline.event_name in (
            'account_closed', 'order_refunded', 'ticket_opened'
        ) as is_turning_point,
        timeline.occurred_at
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
),

timeline_relevant as (
    select
        *,
        {{ local_date('occurred_at') }} as occurred_date
    from timeline_typed
    where is_human_activity
        or is_weighing
        or is_cart
        or is_usage
        or is_activation
        or is_advocacy
        or is_turning_point
),

days_folded as (
    select
        lifecycle_id,
        is_human_activity,
        is_weighing,
        is_cart,
        is_usage,
        is_activation,
        is_advocacy,
        min(occurred_at) as first_occurred_at,
        max(occurred_at) as last_occurred_at
    from timeline_relevant
    where is_touchpoint
    group by
        lifecycle_id,
        occurred_date,
        is_human_activity,
        is_weighing,
        is_cart,
        is_usage,
        is_activation,
        is_advocacy
),

-- What every person's events say, whatever else they mean.
signs_of_life as (
    select
        lifecycle_id,
        'touch' as effect,
        is_human_activity,
        is_weighing,
        is_cart,
        is_usage,
        is_activation,
        is_advocacy,
        first_occurred_at as occurred_at
    from days_folded
    union all
    select
        lifecycle_id,
        'touch' as effect,
        is_human_activity,
        is_weighing,
        is_cart,
        is_usage,
        is_activation,
        is_advocacy,
        last_occurred_at as occurred_at
    from days_folded
    where last_occurred_at > first_occurred_at
    union all
    select
        lifecycle_id,
        case event_name
            when 'account_closed' then 'closing'
            when 'order_refunded' then 'refund'
            when 'ticket_opened' then 'ticket'
            else 'touch'
        end as effect,
        is_human_activity,
        is_weighing,
        is_cart,
        is_usage,
        is_activation,
        is_advocacy,
        occurred_at
    from timeline_relevant
    where not is_touchpoint
),

first_moments as (
    select
        lifecycle_id,
        min(occurred_at) as occurred_at
    from timeline
    group by lifecycle_id
),

subscription_moments as (
    select
        members.lifecycle_id,
        subscription_changes.occurred_at,
        cast(sum(subscription_changes.active_change) as bigint) as active_change
    from subscription_changes
    inner join members on subscription_changes.customer_id = members.customer_id
    where subscription_changes.active_change != 0
    group by members.lifecycle_id, subscription_changes.occurred_at
),

subscription_moments_added as (
    select
        lifecycle_id,
        occurred_at,
        active_change,
        cast(
            sum(active_change) over (
                partition by lifecycle_id
                order by occurred_at asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as active_count
    from subscription_moments
),

-- A trial runs until its end, or until something becomes of it before.
trial_turns as (
    select
        customer_id,
        trial_change,
        trial_ends_at,
        occurred_at as begins_at,
        lead(occurred_at) over (
            partition by id_namespace, subscription_id order by event_number asc nulls last
        ) as given_up_at
    from subscription_changes
    where trial_change != 0
),

trial_spans as (
    select
        customer_id,
        begins_at,
        least(coalesce(given_up_at, trial_ends_at), coalesce(trial_ends_at, given_up_at)) as ends_at
    from trial_turns
    where trial_change = 1
        and (trial_ends_at is null or trial_ends_at > begins_at)
        and (given_up_at is null or given_up_at > begins_at)
),

-- The last answer of a moment counts.
answers_ranked as (
    select
        survey_scores.*,
        members.lifecycle_id,
        row_number() over (
            partition by
                members.lifecycle_id, survey_scores.survey_kind, survey_scores.responded_at
            order by survey_scores.record_key desc nulls last
        ) as answer_rank
    from survey_scores
    inner join members on survey_scores.customer_id = members.customer_id
    where survey_scores.survey_kind in ('nps', 'csat')
),

-- What somebody's event does, by the name of the effect and a number.
personal_effects as (
    select
        purchases.customer_id,
        'one_off' as effect,
        1 as number,
        cast(0 as decimal(18, 2)) as amount,
        purchases.paid_at as occurred_at
    from purchases
    where purchases.is_one_off
    union all
    select
        orders.customer_id,
        'order' as effect,
        1 as number,
        cast(orders.gross_revenue_amount - orders.discount_amount as decimal(18, 2)) as amount,
        orders.ordered_at as occurred_at
    from orders
    union all
    select
        refunds.customer_id,
        'money' as effect,
        0 as number,
        cast(-refunds.item_refund_amount as decimal(18, 2)) as amount,
        refunds.refunded_at as occurred_at
    from refunds
    union all
    select
        subscription_changes.customer_id,
        effects.effect,
        case effects.effect
            when 'active' then subscription_changes.active_change
            when 'past_due' then subscription_changes.past_due_change
            when 'paused' then subscription_changes.paused_change
            when 'cancelling' then subscription_changes.cancelling_change
            when 'paid_end' then case when subscription_changes.is_paid_end then 1 else 0 end
            when 'expansion' then case when subscription_changes.is_upgrade then 1 else 0 end
            when 'trouble' then case when subscription_changes.is_trouble then 1 else 0 end
        end as number,
        cast(0 as decimal(18, 2)) as amount,
        subscription_changes.occurred_at
    from subscription_changes
    cross join (
        values
        ('active'),
        ('past_due'),
        ('paused'),
        ('cancelling'),
        ('paid_end'),
        ('expansion'),
        ('trouble')
    ) as effects (effect)
    union all
    select
        customer_id,
        'trial' as effect,
        1 as number,
        cast(0 as decimal(18, 2)) as amount,
        begins_at as occurred_at
    from trial_spans
    union all
    select
        customer_id,
        'trial' as effect,
        -1 as number,
        cast(0 as decimal(18, 2)) as amount,
        ends_at as occurred_at
    from trial_spans
    where ends_at < {{ as_of_end() }}
    union all
    select
        loyalty_tiers_reached.customer_id,
        'tier' as effect,
        case when loyalty_tiers_reached.is_top_tier then 1 else 0 end as number,
        cast(0 as decimal(18, 2)) as amount,
        loyalty_tiers_reached.occurred_at
    from loyalty_tiers_reached
    union all
    select
        identifications.customer_id,
        'identified' as effect,
        1 as number,
        cast(0 as decimal(18, 2)) as amount,
        identifications.identified_at as occurred_at
    from identifications
    inner join members on identifications.customer_id = members.customer_id
    inner join first_moments on members.lifecycle_id = first_moments.lifecycle_id
    where identifications.identified_at > first_moments.occurred_at
),

-- What a moment does to the lifecycle as a whole.
lifecycle_effects as (
    select
        lifecycle_id,
        'paid' as effect,
        1 as number,
        cast(null as double) as score,
        paid_at as occurred_at
    from paid_days
    union all
    select
        kept_changes.lifecycle_id,
        'kept' as effect,
        kept_changes.kept_change as number,
        cast(null as double) as score,
        kept_changes.changed_at as occurred_at
    from kept_changes
    where kept_changes.kept_change != 0
    union all
    select
        expansions.lifecycle_id,
        'expansion' as effect,
        1 as number,
        cast(null as double) as score,
        expansions.expanded_at as occurred_at
    from expansions
    union all
    select
        lifecycle_id,
        'sub_begin' as effect,
        1 as number,
        cast(null as double) as score,
        occurred_at
    from subscription_moments_added
    where active_count > 0 and active_count - active_change <= 0
    union all
    select
        lifecycle_id,
        survey_kind as effect,
        0 as number,
        score,
        responded_at as occurred_at
    from answers_ranked
    where answer_rank = 1
    union all
    select
        lifecycle_id,
        'falling' as effect,
        falling_change as number,
        cast(null as double) as score,
        changed_at as occurred_at
    from usage_declines
    union all
    select
        lifecycle_id,
        'pressing' as effect,
        pressing_change as number,
        cast(null as double) as score,
        changed_at as occurred_at
    from ticket_pressures
),

effects_unioned as (
    select
        lifecycle_id,
        effect,
        0 as number,
        cast(null as double) as score,
        cast(0 as decimal(18, 2)) as amount,
        is_human_activity,
        is_weighing,
        is_cart,
        is_usage,
        is_activation,
        is_advocacy,
        occurred_at
    from signs_of_life
    union all
    select
        lifecycle_id,
        'seen' as effect,
        0 as number,
        cast(null as double) as score,
        cast(0 as decimal(18, 2)) as amount,
        false as is_human_activity,
        false as is_weighing,
        false as is_cart,
        false as is_usage,
        false as is_activation,
        false as is_advocacy,
        occurred_at
    from first_moments
    union all
    select
        members.lifecycle_id,
        personal_effects.effect,
        personal_effects.number,
        cast(null as double) as score,
        personal_effects.amount,
        false as is_human_activity,
        false as is_weighing,
        false as is_cart,
        false as is_usage,
        false as is_activation,
        false as is_advocacy,
        personal_effects.occurred_at
    from personal_effects
    inner join members on personal_effects.customer_id = members.customer_id
    union all
    select
        lifecycle_id,
        effect,
        number,
        score,
        cast(0 as decimal(18, 2)) as amount,
        false as is_human_activity,
        false as is_weighing,
        false as is_cart,
        false as is_usage,
        false as is_activation,
        false as is_advocacy,
        occurred_at
    from lifecycle_effects
),

moments as (
    select
        -- keys
        lifecycle_id,
        -- facts: signs of life
        bool_or(is_human_activity) as is_human_activity,
        bool_or(is_weighing) as is_weighing,
        bool_or(is_cart) as is_cart,
        bool_or(is_usage) as is_usage,
        bool_or(is_activation) as is_activation,
        bool_or(is_advocacy) as is_advocacy,
        -- facts: purchases
        cast(sum(case when effect = 'paid' then number else 0 end) as bigint) as paid_change,
        cast(sum(case when effect = 'kept' then number else 0 end) as bigint) as kept_change,
        cast(sum(case when effect = 'order' then number else 0 end) as bigint) as order_change,
        cast(sum(amount) as decimal(18, 2)) as net_revenue_amount,
        count(case when effect = 'one_off' then 1 end) > 0 as is_one_off,
        count(case when effect = 'refund' then 1 end) > 0 as is_refund,
        count(case when effect = 'expansion' and number > 0 then 1 end) > 0 as is_expansion,
        count(case when effect = 'closing' then 1 end) > 0 as is_closing,
        -- facts: subscriptions
        cast(sum(case when effect = 'active' then number else 0 end) as bigint) as active_change,
        cast(sum(case when effect = 'trial' then number else 0 end) as bigint) as trial_change,
        count(case when effect = 'trial' and number > 0 then 1 end) > 0 as is_trial_start,
        cast(sum(case when effect = 'past_due' then number else 0 end) as bigint)
            as past_due_change,
        cast(sum(case when effect = 'paused' then number else 0 end) as bigint) as paused_change,
        cast(sum(case when effect = 'cancelling' then number else 0 end) as bigint)
            as cancelling_change,
        count(case when effect = 'sub_begin' then 1 end) > 0 as is_subscription_begin,
        count(case when effect = 'paid_end' and number > 0 then 1 end) > 0 as is_paid_end,
        count(case when effect = 'trouble' and number > 0 then 1 end) > 0 as is_trouble,
        cast(sum(case when effect = 'falling' then number else 0 end) as bigint) as falling_change,
        -- facts: opinion and support
        max(case when effect = 'nps' then score end) as nps_score,
        max(case when effect = 'csat' then score end) as csat_score,
        count(case when effect = 'ticket' then 1 end) > 0 as is_ticket,
        cast(sum(case when effect = 'pressing' then number else 0 end) as bigint)
            as pressing_change,
        -- Of two tiers in one moment the higher counts.
        cast(max(case when effect = 'tier' then number end) as bigint) as top_tier_flag,
        -- times
        occurred_at
    from effects_unioned
    group by lifecycle_id, occurred_at
)

select * from moments
