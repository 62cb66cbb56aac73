-- Grain: one row per thing that happened to a customer; event_id = kind:source:record id.
-- An order that a touchpoint reports as well is one event: the order.

with

touchpoints as (select * from {{ ref('stg_touchpoints') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

touchpoint_aliases as (select * from {{ ref('touchpoint_aliases') }}),

orders as (select * from {{ ref('int_orders') }}),

refunds as (select * from {{ ref('int_refunds') }}),

contacts as (select * from {{ ref('stg_contacts') }}),

tickets as (select * from {{ ref('stg_tickets') }}),

survey_responses as (select * from {{ ref('stg_survey_responses') }}),

reviews as (select * from {{ ref('stg_reviews') }}),

loyalty_events as (select * from {{ ref('stg_loyalty_events') }}),

subscriptions as (select * from {{ ref('stg_subscriptions') }}),

subscription_events as (select * from {{ ref('stg_subscription_events') }}),

links as (select * from {{ source('identity', 'record_links') }}),

touchpoints_named as (
    select
        touchpoints.*,
        lower(replace(trim(touchpoints.source_event_name), ' ', '_')) as normalised_event_name
    from touchpoints
),

touchpoints_typed as (
    select
        'touchpoints' as record_table,
        touchpoints_named.touchpoint_id as record_id,
        'touchpoint' as event_kind,
        touchpoints_named.source_system,
        coalesce(touchpoint_types.event_name, touchpoint_aliases.event_name, 'other') as event_name,
        touchpoints_named.channel,
        touchpoints_named.order_id,
        cast(null as string) as ticket_id,
        touchpoints_named.campaign_id,
        touchpoints_named.product_id,
        touchpoints_named.event_amount as amount,
        touchpoints_named.currency,
        coalesce(touchpoints_named.is_machine, false) as is_machine,
        false as is_good_review,
        touchpoints_named.occurred_at
    from touchpoints_named
    left join
        touchpoint_types
        on touchpoints_named.normalised_event_name = touchpoint_types.event_name
    left join
        touchpoint_aliases
        on touchpoints_named.normalised_event_name = touchpoint_aliases.source_event_name
    left join orders
        on touchpoints_named.id_namespace = orders.id_namespace
        and touchpoints_named.order_id = orders.order_id
    where orders.order_key is null
        or coalesce(touchpoint_types.event_name, touchpoint_aliases.event_name, 'other')
        != 'order_placed'
),

order_events as (
    select
        'orders' as record_table,
        order_id as record_id,
        'order' as event_kind,
        source_system,
        'order_placed' as event_name,
        order_channel as channel,
        order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(total_amount as decimal(18, 4)) as amount,
        currency,
        false as is_machine,
        false as is_good_review,
        ordered_at as occurred_at
    from orders
    where not is_cancelled and not is_test
),

contact_events as (
    select
        'contacts' as record_table,
        contact_id as record_id,
        'contact' as event_kind,
        source_system,
        'contact_created' as event_name,
        acquisition_source as channel,
        cast(null as string) as order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        false as is_good_review,
        created_at as occurred_at
    from contacts
    where created_at is not null
),

closing_events as (
    select
        'contacts' as record_table,
        contact_id as record_id,
        'account_closed' as event_kind,
        source_system,
        'account_closed' as event_name,
        cast(null as string) as channel,
        cast(null as string) as order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        false as is_good_review,
        account_closed_at as occurred_at
    from contacts
    where account_closed_at is not null
),

ticket_events as (
    select
        'tickets' as record_table,
        ticket_id as record_id,
        'ticket' as event_kind,
        source_system,
        'ticket_opened' as event_name,
        ticket_channel as channel,
        order_id,
        ticket_id,
        cast(null as string) as campaign_id,
        product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        false as is_good_review,
        opened_at as occurred_at
    from tickets
),

survey_events as (
    select
        'survey_responses' as record_table,
        response_id as record_id,
        'survey' as event_kind,
        source_system,
        'survey_answered' as event_name,
        survey_kind as channel,
        order_id,
        ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        false as is_good_review,
        responded_at as occurred_at
    from survey_responses
),

review_events as (
    select
        'reviews' as record_table,
        review_id as record_id,
        'review' as event_kind,
        source_system,
        case
            when coalesce(is_testimonial, false) then 'testimonial_given' else 'review_submitted'
        end as event_name,
        cast(null as string) as channel,
        order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        -- At least four of five, on whatever scale.
        rating * 5 >= 4 * coalesce(scale_max, 5) as is_good_review,
        reviewed_at as occurred_at
    from reviews
),

loyalty_programme_events as (
    select
        'loyalty_events' as record_table,
        loyalty_event_id as record_id,
        'loyalty' as event_kind,
        source_system,
        'loyalty_' || event_kind as event_name,
        cast(null as string) as channel,
        cast(null as string) as order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        false as is_good_review,
        occurred_at
    from loyalty_events
),

records_unioned as (
    select * from touchpoints_typed
    union all
    select * from order_events
    union all
    select * from contact_events
    union all
    select * from closing_events
    union all
    select * from ticket_events
    union all
    select * from survey_events
    union all
    select * from review_events
    union all
    select * from loyalty_programme_events
),

records_linked as (
    select
        links.customer_id,
        concat_ws(
            ':',
            records_unioned.event_kind,
            records_unioned.source_system,
            records_unioned.record_id
        ) as event_id,
        records_unioned.event_name,
        records_unioned.channel,
        records_unioned.source_system,
        records_unioned.order_id,
        records_unioned.ticket_id,
        records_unioned.campaign_id,
        records_unioned.product_id,
        records_unioned.amount,
        records_unioned.currency,
        records_unioned.is_machine,
        records_unioned.is_good_review,
        records_unioned.occurred_at
    from records_unioned
    inner join links
        on records_unioned.record_table = links.record_table
        and records_unioned.source_system = links.source_system
        and records_unioned.record_id = links.record_id
),

refunds_linked as (
    select
        refunds.customer_id,
        concat_ws(':', 'refund', refunds.source_system, refunds.refund_id) as event_id,
        'order_refunded' as event_name,
        cast(null as string) as channel,
        refunds.source_system,
        orders.order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(refunds.refund_amount as decimal(18, 4)) as amount,
        orders.currency,
        false as is_machine,
        false as is_good_review,
        refunds.refunded_at as occurred_at
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    -- A missing rate hides the money, not that it was given back.
    where refunds.customer_id is not null and not orders.is_cancelled and not orders.is_test
),

subscription_changes_linked as (
    select
        links.customer_id,
        concat_ws(
            ':',
            'subscription',
            subscription_events.source_system,
            subscription_events.subscription_event_id
        )
            as event_id,
        'subscription_' || subscription_events.event_kind as event_name,
        cast(null as string) as channel,
        subscription_events.source_system,
        cast(null as string) as order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(subscription_events.mrr_amount as decimal(18, 4)) as amount,
        subscription_events.currency,
        false as is_machine,
        false as is_good_review,
        subscription_events.occurred_at
    from subscription_events
    inner join subscriptions
        on subscription_events.id_namespace = subscriptions.id_namespace
        and subscription_events.subscription_id = subscriptions.subscription_id
    inner join links
        on links.record_table = 'subscriptions'
        and subscriptions.source_system = links.source_system
        and subscriptions.subscription_id = links.record_id
),

events_unioned as (
    select * from records_linked
    union all
    select * from refunds_linked
    union all
    select * from subscription_changes_linked
)

select * from events_unioned
