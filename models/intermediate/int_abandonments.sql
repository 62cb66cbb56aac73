-- Grain: one row per cart, checkout or payment page (seeds/abandonment_kinds.csv) that somebody started, and what
-- became of it. Starts of one kind without an order between them and without a pause as long as the setting are one.

with

timeline as (select * from {{ ref('int_timeline') }} where not is_machine),

reported_purchases as (
    select *
    from {{ ref('int_timeline') }}
    where (event_name = 'order_placed' and is_touchpoint) or event_name = 'subscription_started'
),

orders as (
    select *
    from {{ ref('int_orders') }}
    where not is_cancelled and not is_test and customer_id is not null
),

kinds as (select * from {{ ref('abandonment_kinds') }}),

rates as (select * from {{ ref('int_exchange_rates') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

events as (
    select
        kinds.abandonment_kind,
        kinds.amount_basis,
        timeline.customer_id,
        timeline.amount,
        timeline.currency,
        case
            when timeline.amount is not null then {{ local_date('timeline.occurred_at') }}
        end as rated_date,
        timeline.occurred_at
    from timeline
    inner join kinds on timeline.event_name = kinds.event_name
),

starts as (
    select
        events.abandonment_kind,
        events.amount_basis,
        events.customer_id,
        {{ to_reporting_currency('events.amount', 'rates.exchange_rate') }} as started_amount,
        events.occurred_at
    from events
    left join rates
        on events.currency = rates.currency
        and events.rated_date >= rates.valid_from_date
        and (rates.valid_to_date is null or events.rated_date < rates.valid_to_date)
),

-- What ends it well: an order that somebody placed, known or only reported, or the start of a paid subscription.
purchases_unioned as (
    select
        customer_id,
        ordered_at as purchased_at,
        case
            when is_counted then gross_revenue_amount - discount_amount else 0
        end as revenue_amount
    from orders
    where not is_renewal
    union all
    select
        customer_id,
        occurred_at as purchased_at,
        0 as revenue_amount
    from reported_purchases
),

purchases as (
    select
        purchases_unioned.customer_id,
        purchases_unioned.purchased_at,
        cast(sum(purchases_unioned.revenue_amount) as decimal(18, 2)) as revenue_amount
    from purchases_unioned
    semi join starts on purchases_unioned.customer_id = starts.customer_id
    group by purchases_unioned.customer_id, purchases_unioned.purchased_at
),

moments as (
    select
        customer_id,
        abandonment_kind,
        amount_basis,
        started_amount,
        occurred_at,
        0 as moment_rank,
        cast(null as timestamp) as purchased_at
    from starts
    union all
    select
        customer_id,
        cast(null as string) as abandonment_kind,
        cast(null as string) as amount_basis,
        cast(null as decimal(18, 2)) as started_amount,
        purchased_at as occurred_at,
        1 as moment_rank,
        purchased_at
    from purchases
),

moments_with_purchase as (
    select
        customer_id,
        abandonment_kind,
        amount_basis,
        started_amount,
        occurred_at,
        min(purchased_at) over (
            partition by customer_id
            order by occurred_at asc nulls last, moment_rank asc nulls last
            rows between current row and unbounded following
        ) as next_purchased_at
    from moments
),

starts_compared as (
    select
        *,
        lag(occurred_at) over customer_starts as previous_at,
        lag(next_purchased_at) over customer_starts as previous_purchased_at
    from moments_with_purchase
    where abandonment_kind is not null
    window customer_starts as (
        partition by customer_id, abandonment_kind order by occurred_at asc nulls last
    )
),

starts_numbered as (
    select
        starts_compared.*,
        cast(sum(
            case
                when starts_compared.previous_at is null
                    or starts_compared.previous_purchased_at
                    is distinct from starts_compared.next_purchased_at
                    or starts_compared.occurred_at
                    >= {{ add_days(
                        'starts_compared.previous_at', 'settings.abandoned_after_hours / 24.0'
                    ) }}
                    then 1
                else 0
            end
        ) over (
            partition by starts_compared.customer_id, starts_compared.abandonment_kind
            order by starts_compared.occurred_at asc nulls last
            rows between unbounded preceding and current row
        ) as bigint) as start_number
    from starts_compared
    cross join settings
),

started as (
    select
        customer_id,
        abandonment_kind,
        min(occurred_at) as began_at,
        max(occurred_at) as last_at,
        max(next_purchased_at) as purchased_at,
        cast(
            case
                when min(amount_basis) = 'sum' then sum(started_amount) else max(started_amount)
            end as decimal(18, 2)
        ) as started_amount
    from starts_numbered
    group by customer_id, abandonment_kind, start_number
),

started_clocked as (
    select
        started.*,
        {{ add_days('started.last_at', 'settings.abandoned_after_hours / 24.0') }}
            as abandoned_at,
        {{ add_days(
            'started.last_at', 'settings.abandoned_after_hours / 24.0 + settings.recovery_days'
        ) }} as recoverable_until_at
    from started
    cross join settings
),

judged as (
    select
        *,
        abandoned_at <= {{ as_of_end() }} as is_matured,
        recoverable_until_at <= {{ as_of_end() }} as is_recovery_matured,
        coalesce(purchased_at < abandoned_at, false) as is_ordered,
        coalesce(purchased_at >= abandoned_at and purchased_at < recoverable_until_at, false)
            as is_recovered
    from started_clocked
),

-- One order may recover several; its revenue counts once, with the last of them.
recoveries_ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, abandonment_kind, is_recovered, purchased_at
            order by last_at desc nulls last
        ) as recovery_rank
    from judged
),

abandonments as (
    select
        -- keys
        recoveries_ranked.abandonment_kind,
        recoveries_ranked.customer_id,
        -- facts
        recoveries_ranked.is_matured,
        recoveries_ranked.is_recovery_matured,
        recoveries_ranked.is_ordered,
        recoveries_ranked.is_recovered,
        recoveries_ranked.started_amount,
        cast(
            case
                when recoveries_ranked.is_recovered and recoveries_ranked.recovery_rank = 1
                    then purchases.revenue_amount
                else 0
            end as decimal(18, 2)
        ) as recovered_revenue_amount,
        -- times
        {{ local_month('recoveries_ranked.began_at') }} as began_month,
        recoveries_ranked.began_at,
        recoveries_ranked.last_at,
        recoveries_ranked.abandoned_at,
        recoveries_ranked.purchased_at
    from recoveries_ranked
    left join purchases
        on recoveries_ranked.customer_id = purchases.customer_id
        and recoveries_ranked.purchased_at = purchases.purchased_at
)

select * from abandonments
