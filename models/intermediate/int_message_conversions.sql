-- Grain: one row per order that was placed within `click_days` after a click in a message: the last click before it.
-- Renewals that nobody placed are no answer to a message.

with

clicks as (
    select *
    from {{ ref('int_message_events') }}
    where step = 'clicked' and not is_machine
),

orders as (
    select *
    from {{ ref('int_orders') }}
    where is_counted and not is_renewal and customer_id is not null
),

settings as (select * from {{ ref('stg_metric_settings') }}),

moments as (
    select
        customer_id,
        message_key,
        cast(null as string) as order_key,
        occurred_at as clicked_at,
        occurred_at
    from clicks
    union all
    select
        orders.customer_id,
        cast(null as string) as message_key,
        orders.order_key,
        cast(null as timestamp) as clicked_at,
        orders.ordered_at as occurred_at
    from orders
    semi join clicks on orders.customer_id = clicks.customer_id
),

moments_looked_back as (
    select
        customer_id,
        order_key,
        {{ last_known('message_key', 'so_far') }} as message_key,
        {{ last_known('clicked_at', 'so_far') }} as clicked_at,
        occurred_at as ordered_at
    from moments
    window so_far as (
        partition by customer_id
        order by
            occurred_at asc nulls last,
            -- A click in the second of the order came before it.
            case when order_key is null then 0 else 1 end asc nulls last,
            message_key asc nulls last
        rows between unbounded preceding and current row
    )
),

conversions as (
    select
        -- keys
        moments_looked_back.order_key,
        moments_looked_back.customer_id,
        moments_looked_back.message_key,
        -- facts
        cast(orders.gross_revenue_amount - orders.discount_amount as decimal(18, 2))
            as revenue_amount,
        -- times
        moments_looked_back.clicked_at,
        moments_looked_back.ordered_at
    from moments_looked_back
    inner join orders on moments_looked_back.order_key = orders.order_key
    cross join settings
    where moments_looked_back.ordered_at
        < {{ add_days('moments_looked_back.clicked_at', 'settings.click_days') }}
)

select * from conversions
