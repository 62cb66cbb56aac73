-- Grain: one row per person: where they came from, and when they were first seen, known, signed up and a customer.
-- The first touch says where from, because it names the campaign too; without one what the contact record says.

with

members as (select * from {{ ref('int_lifecycle_members') }}),

acquisitions as (select * from {{ ref('int_customer_acquisitions') }}),

profiles as (select * from {{ ref('int_customer_profiles') }}),

channels as (select * from {{ ref('channels') }}),

first_states as (select * from {{ ref('int_lifecycle_states') }} where previous_state is null),

identifications as (select * from {{ ref('int_identifications') }}),

sign_ups as (
    select * from {{ ref('int_timeline') }} where event_name = 'signed_up' and not is_machine
),

purchases as (select * from {{ ref('int_purchases') }}),

paid_orders as (
    select * from {{ ref('int_orders') }} where is_paid and is_counted and customer_id is not null
),

origins as (
    select
        members.customer_id,
        members.lifecycle_id,
        lower(coalesce(acquisitions.acquisition_channel, profiles.acquisition_source)) as channel,
        acquisitions.acquisition_campaign_id
    from members
    left join acquisitions on members.customer_id = acquisitions.customer_id
    left join profiles on members.customer_id = profiles.customer_id
),

first_sights as (
    select
        customer_id,
        min(valid_from_at) as first_seen_at
    from first_states
    group by customer_id
),

first_sign_ups as (
    select
        customer_id,
        min(occurred_at) as signed_up_at
    from sign_ups
    group by customer_id
),

first_purchases as (
    select
        customer_id,
        min(paid_date) as first_paid_date,
        min(paid_at) as first_paid_at
    from purchases
    group by customer_id
),

-- All orders of the first paid day are the first purchase: a basket may be split in two.
first_orders as (
    select
        paid_orders.customer_id,
        cast(sum(paid_orders.discount_amount) as decimal(18, 2)) as first_order_discount_amount
    from paid_orders
    inner join first_purchases
        on paid_orders.customer_id = first_purchases.customer_id
        and paid_orders.order_date = first_purchases.first_paid_date
    group by paid_orders.customer_id
),

beginnings as (
    select
        -- keys
        origins.customer_id,
        origins.lifecycle_id,
        -- facts
        coalesce(channels.channel_group, origins.channel, 'unknown') as acquisition_channel,
        coalesce(origins.acquisition_campaign_id, '(none)') as acquisition_campaign_id,
        coalesce(first_orders.first_order_discount_amount, cast(0 as decimal(18, 2)))
            as first_order_discount_amount,
        coalesce(first_purchases.first_paid_at <= identifications.first_dated_at, false)
            as is_bought_at_once,
        -- times
        first_sights.first_seen_at,
        {{ local_month('first_sights.first_seen_at') }} as first_seen_month,
        identifications.first_dated_at as identified_at,
        {{ local_month('identifications.first_dated_at') }} as identified_month,
        first_sign_ups.signed_up_at,
        first_purchases.first_paid_at,
        cast(date_trunc('month', first_purchases.first_paid_date) as date) as first_paid_month
    from origins
    left join channels on origins.channel = channels.channel
    left join first_sights on origins.customer_id = first_sights.customer_id
    left join identifications on origins.customer_id = identifications.customer_id
    left join first_sign_ups on origins.customer_id = first_sign_ups.customer_id
    left join first_purchases on origins.customer_id = first_purchases.customer_id
    left join first_orders on origins.customer_id = first_orders.customer_id
)

select * from beginnings
