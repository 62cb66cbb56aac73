-- Grain: one row per thing that happened to a customer, and whose lifecycle it counts in; event_id = kind:source:record id.
-- An order or delivery that a touchpoint reports as well is one event: that of the order.

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

subscriptions as (select * from {{ ref('int_subscriptions') }}),

subscription_events as (select * from {{ ref('stg_subscription_events') }}),

consents as (select * from {{ ref('stg_consents') }}),

-- Each read once, and no wider than it is used: most of the cost of a timeline is finding whose a record is.
touchpoint_links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'touchpoints'
),

record_links as (
    select *
    from {{ source('identity', 'record_links') }}
    where record_table not in ('touchpoints', 'consents')
),

consent_links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'consents'
),

members as (select * from {{ ref('int_lifecycle_members') }}),

orders_reported as (
    select
        id_namespace,
        order_id,
        'order_placed' as event_name
    from orders
    union all
    select
        id_namespace,
        order_id,
        'order_delivered' as event_name
    from orders
    where delivered_at is not null
),

touchpoints_named as (
    select
        touchpoints.*,
        lower(replace(trim(touchpoints.source_event_name), ' ', '_')) as normalised_event_name
    from touchpoints
),

touchpoints_typed as (
    select
        touchpoints_named.*,
        coalesce(touchpoint_types.event_name, touchpoint_aliases.event_name, 'other') as event_name
    from touchpoints_named
    left join
        touchpoint_types
        on touchpoints_named.normalised_event_name = touchpoint_types.event_name
    left join
        touchpoint_aliases
        on touchpoints_named.normalised_event_name = touchpoint_aliases.source_event_name
),

touchpoint_events as (
    select
        'touchpoints' as record_table,
        touchpoints_typed.touchpoint_id as record_id,
        'touchpoint' as event_kind,
        touchpoints_typed.source_system,
        touchpoints_typed.event_name,
        touchpoints_typed.channel,
        touchpoints_typed.session_id,
        touchpoints_typed.order_id,
        cast(null as string) as ticket_id,
        touchpoints_typed.campaign_id,
        touchpoints_typed.product_id,
        touchpoints_typed.event_amount as amount,
        touchpoints_typed.currency,
        coalesce(touchpoints_typed.is_machine, false) as is_machine,
        false as is_good_review,
        touchpoints_typed.occurred_at
    from touchpoints_typed
    anti join orders_reported
        on touchpoints_typed.id_namespace = orders_reported.id_namespace
        and touchpoints_typed.order_id = orders_reported.order_id
        and touchpoints_typed.event_name = orders_reported.event_name
),

order_moments as (
    select
        orders.*,
        moments.event_kind,
        moments.event_name,
        case moments.event_name
            when 'order_placed' then orders.ordered_at
            else orders.delivered_at
        end as occurred_at
    from orders
    cross join (
        values ('order', 'order_placed'), ('order_delivered', 'order_delivered')
    ) as moments (event_kind, event_name)
    where not orders.is_cancelled and not orders.is_test
),

order_events as (
    select
        'orders' as record_table,
        order_id as record_id,
        event_kind,
        source_system,
        event_name,
        order_channel as channel,
        cast(null as string) as session_id,
        order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        case when event_name = 'order_placed' then cast(total_amount as decimal(18, 4)) end
            as amount,
        case when event_name = 'order_placed' then currency end as currency,
        false as is_machine,
        false as is_good_review,
        occurred_at
    from order_moments
    where occurred_at is not null
),

contact_events as (
    select
        'contacts' as record_table,
        contact_id as record_id,
        'contact' as event_kind,
        source_system,
        'contact_created' as event_name,
        acquisition_source as channel,
        cast(null as string) as session_id,
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
        cast(null as string) as session_id,
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

ticket_moments as (
    select
        tickets.*,
        moments.event_kind,
        moments.event_name,
        case moments.event_name
            when 'ticket_opened' then tickets.opened_at
            when 'ticket_replied' then tickets.first_replied_at
            else tickets.solved_at
        end as occurred_at
    from tickets
    cross join (
        values
        ('ticket', 'ticket_opened'),
        ('ticket_replied', 'ticket_replied'),
        ('ticket_solved', 'ticket_solved')
    ) as moments (event_kind, event_name)
),

ticket_events as (
    select
        'tickets' as record_table,
        ticket_id as record_id,
        event_kind,
        source_system,
        event_name,
        ticket_channel as channel,
        cast(null as string) as session_id,
        order_id,
        ticket_id,
        cast(null as string) as campaign_id,
        product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_machine,
        false as is_good_review,
        occurred_at
    from ticket_moments
    where occurred_at is not null
),

survey_events as (
    select
        'survey_responses' as record_table,
        response_id as record_id,
        'survey' as event_kind,
        source_system,
        'survey_answered' as event_name,
        survey_kind as channel,
        cast(null as string) as session_id,
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
        cast(null as string) as session_id,
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
        cast(null as string) as session_id,
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

touchpoints_linked as (
    select
        touchpoint_links.customer_id,
        concat_ws(
            ':',
            touchpoint_events.event_kind,
            touchpoint_events.source_system,
            touchpoint_events.record_id
        ) as event_id,
        touchpoint_events.event_name,
        touchpoint_events.channel,
        touchpoint_events.source_system,
        touchpoint_events.session_id,
        touchpoint_events.order_id,
        touchpoint_events.ticket_id,
        touchpoint_events.campaign_id,
        touchpoint_events.product_id,
        touchpoint_events.amount,
        touchpoint_events.currency,
        true as is_touchpoint,
        touchpoint_events.is_machine,
        touchpoint_events.is_good_review,
        touchpoint_events.occurred_at
    from touchpoint_events
    inner join touchpoint_links
        on touchpoint_events.source_system = touchpoint_links.source_system
        and touchpoint_events.record_id = touchpoint_links.record_id
),

records_linked as (
    select
        record_links.customer_id,
        concat_ws(
            ':',
            records_unioned.event_kind,
            records_unioned.source_system,
            records_unioned.record_id
        ) as event_id,
        records_unioned.event_name,
        records_unioned.channel,
        records_unioned.source_system,
        records_unioned.session_id,
        records_unioned.order_id,
        records_unioned.ticket_id,
        records_unioned.campaign_id,
        records_unioned.product_id,
        records_unioned.amount,
        records_unioned.currency,
        false as is_touchpoint,
        records_unioned.is_machine,
        records_unioned.is_good_review,
        records_unioned.occurred_at
    from records_unioned
    inner join record_links
        on records_unioned.record_table = record_links.record_table
        and records_unioned.source_system = record_links.source_system
        and records_unioned.record_id = record_links.record_id
),

refunds_linked as (
    select
        refunds.customer_id,
        concat_ws(':', 'refund', refunds.source_system, refunds.refund_id) as event_id,
        'order_refunded' as event_name,
        cast(null as string) as channel,
        refunds.source_system,
        cast(null as string) as session_id,
        orders.order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(refunds.refund_amount as decimal(18, 4)) as amount,
        orders.currency,
        false as is_touchpoint,
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
        subscriptions.customer_id,
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
        cast(null as string) as session_id,
        cast(null as string) as order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(subscription_events.mrr_amount as decimal(18, 4)) as amount,
        subscription_events.currency,
        false as is_touchpoint,
        false as is_machine,
        false as is_good_review,
        subscription_events.occurred_at
    from subscription_events
    inner join subscriptions
        on subscription_events.id_namespace = subscriptions.id_namespace
        and subscription_events.subscription_id = subscriptions.subscription_id
),

consent_moments as (
    select
        source_system,
        {{ consent_record_id() }} as record_id,
        channel,
        purpose,
        consent_status,
        'consent' as event_kind,
        'consent_' || consent_status as event_name,
        changed_at as occurred_at
    from consents
    union all
    select
        source_system,
        {{ consent_record_id() }} as record_id,
        channel,
        purpose,
        consent_status,
        'consent_confirmed' as event_kind,
        'consent_confirmed' as event_name,
        confirmed_at as occurred_at
    from consents
    where consent_status = 'granted' and confirmed_at is not null
),

-- Records that say the same of one person at one moment are one event.
consents_linked as (
    select distinct
        consent_links.customer_id,
        consent_moments.source_system,
        consent_moments.channel,
        consent_moments.purpose,
        consent_moments.consent_status,
        consent_moments.event_kind,
        consent_moments.event_name,
        consent_moments.occurred_at
    from consent_moments
    inner join consent_links
        on consent_moments.source_system = consent_links.source_system
        and consent_moments.record_id = consent_links.record_id
),

consent_events as (
    select
        customer_id,
        -- The record's own id holds an email or phone; the customer and what was said name it as well.
        concat_ws(
            ':',
            event_kind,
            source_system,
            concat_ws(
                '|', customer_id, channel, purpose, consent_status, cast(occurred_at as string)
            )
        ) as event_id,
        event_name,
        channel,
        source_system,
        cast(null as string) as session_id,
        cast(null as string) as order_id,
        cast(null as string) as ticket_id,
        cast(null as string) as campaign_id,
        cast(null as string) as product_id,
        cast(null as decimal(18, 4)) as amount,
        cast(null as string) as currency,
        false as is_touchpoint,
        false as is_machine,
        false as is_good_review,
        occurred_at
    from consents_linked
),

-- Two systems count ids each for itself; the same number of the same person on the same day is the same order.
orders_told as (
    select
        customer_id,
        order_id,
        event_name,
        min(occurred_at) as first_told_at,
        max(occurred_at) as last_told_at
    from records_linked
    where order_id is not null
    group by
        customer_id,
        order_id,
        event_name
),

touchpoints_told_once as (
    select touchpoints_linked.*
    from touchpoints_linked
    anti join orders_told
        on touchpoints_linked.customer_id = orders_told.customer_id
        and touchpoints_linked.order_id = orders_told.order_id
        and touchpoints_linked.event_name = orders_told.event_name
        and touchpoints_linked.occurred_at
        between {{ add_days('orders_told.first_told_at', '-1') }}
        and {{ add_days('orders_told.last_told_at', '1') }}
),

events_unioned as (
    select * from touchpoints_told_once
    union all
    select * from records_linked
    union all
    select * from refunds_linked
    union all
    select * from subscription_changes_linked
    union all
    select * from consent_events
),

events as (
    select
        events_unioned.*,
        members.lifecycle_id
    from events_unioned
    inner join members on events_unioned.customer_id = members.customer_id
)

select * from events
