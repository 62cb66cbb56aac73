-- Grain: one row per person anybody has a record of, as of the run's day. Carries no direct identifier.

with

links as (select * from {{ ref('customer_links') }}),

profiles as (select * from {{ ref('int_customer_profiles') }}),

orders as (select * from {{ ref('int_customer_orders') }}),

consents as (select * from {{ ref('int_customer_consents') }}),

support as (select * from {{ ref('int_customer_support') }}),

subscriptions as (select * from {{ ref('int_customer_subscriptions') }}),

activity as (select * from {{ ref('int_customer_activity') }}),

acquisitions as (select * from {{ ref('int_customer_acquisitions') }}),

engagement as (select * from {{ ref('int_engagement_indexes') }}),

history as (select * from {{ ref('customer_lifecycle_history') }}),

stages as (select * from {{ ref('lifecycle_stages') }}),

current_facts as (select * from {{ ref('int_lifecycle_stages') }} where valid_to_at is null),

contacts as (select * from {{ ref('int_customer_contacts') }}),

customers as (
    select
        customer_id,
        bool_and(link_rule = 'anonymous_id') as is_anonymous,
        cast(count(distinct source_system) as bigint) as source_count,
        cast(count(*) as bigint) as record_count,
        min(confidence) as link_confidence
    from links
    group by customer_id
),

identifiers_counted as (
    select
        customer_id,
        cast(count(distinct identifier_kind || ':' || identifier_value) as bigint)
            as identifier_count
    from contacts
    group by customer_id
),

history_ranked as (
    select
        history.customer_id,
        history.stage,
        history.valid_from_at,
        history.valid_to_at,
        row_number() over (
            partition by history.customer_id
            order by stages.stage_rank desc nulls last, history.valid_from_at asc nulls last
        ) as stage_height
    from history
    inner join stages on history.stage = stages.stage
),

highest_stages as (
    select
        customer_id,
        stage as highest_stage_reached
    from history_ranked
    where stage_height = 1
),

first_moments as (
    select
        customer_id,
        min(valid_from_at) as first_seen_at
    from history
    group by customer_id
),

current_stages as (
    select
        customer_id,
        valid_from_at as lifecycle_stage_since_at
    from history_ranked
    where valid_to_at is null
),

published as (
    select
        -- keys
        customers.customer_id,
        profiles.account_key,
        profiles.household_key,
        -- facts: who
        customers.is_anonymous,
        coalesce(profiles.is_test, false) as is_test,
        coalesce(profiles.is_employee, false) as is_employee,
        profiles.country,
        profiles.region,
        profiles.city,
        profiles.language,
        profiles.timezone,
        profiles.gender,
        profiles.company,
        profiles.brand,
        profiles.persona,
        profiles.topics,
        profiles.onboarding_goal,
        profiles.max_frequency,
        coalesce(profiles.preferred_channel, activity.observed_channel) as preferred_channel,
        activity.observed_channel,
        support.loyalty_tier,
        support.loyalty_points_balance,
        coalesce(identifiers_counted.identifier_count, 0) as identifier_count,
        customers.source_count,
        customers.record_count,
        coalesce(profiles.contact_record_count, 0) as contact_record_count,
        customers.link_confidence,
        profiles.account_customer_count,
        profiles.household_customer_count,
        coalesce(consents.email_consent, false) as email_consent,
        coalesce(consents.sms_consent, false) as sms_consent,
        coalesce(consents.ads_consent, false) as ads_consent,
        coalesce(consents.phone_consent, false) as phone_consent,
        coalesce(consents.post_consent, false) as post_consent,
        coalesce(consents.push_consent, false) as push_consent,
        coalesce(profiles.acquisition_source, acquisitions.acquisition_channel)
            as acquisition_channel,
        acquisitions.acquisition_campaign_id,
        -- facts: orders
        coalesce(orders.order_count, 0) as order_count,
        cast({{ reporting_currency() }} as string) as currency,
        cast(coalesce(orders.gross_revenue_amount, 0) as decimal(18, 2)) as gross_revenue_amount,
        cast(coalesce(orders.discount_amount, 0) as decimal(18, 2)) as discount_amount,
        cast(coalesce(orders.refund_amount, 0) as decimal(18, 2)) as refund_amount,
        cast(coalesce(orders.net_revenue_amount, 0) as decimal(18, 2)) as net_revenue_amount,
        orders.gross_margin_amount,
        orders.average_order_amount,
        orders.median_order_gap_days,
        current_facts.expected_order_gap_days,
        cast(
            floor({{ days_between('orders.last_order_at', as_of_end()) }}) as bigint
        ) as days_since_last_order,
        cast(
            floor({{ days_between('current_facts.last_human_at', as_of_end()) }}) as bigint
        ) as days_since_last_activity,
        cast(orders.rfm_recency_quintile as bigint) as rfm_recency_quintile,
        cast(orders.rfm_frequency_quintile as bigint) as rfm_frequency_quintile,
        cast(orders.rfm_monetary_quintile as bigint) as rfm_monetary_quintile,
        {{ rfm_group(
            'orders.rfm_recency_quintile',
            'orders.rfm_frequency_quintile',
            'orders.rfm_monetary_quintile'
        ) }} as rfm_group,
        -- facts: subscriptions
        coalesce(subscriptions.subscription_count, 0) as subscription_count,
        coalesce(subscriptions.active_subscription_count, 0) as active_subscription_count,
        coalesce(subscriptions.is_subscribed, false) as is_subscribed,
        coalesce(subscriptions.is_in_trial, false) as is_in_trial,
        subscriptions.plan_name,
        case
            when subscriptions.customer_id is null then cast(0 as decimal(18, 2))
            else subscriptions.mrr_amount
        end as mrr_amount,
        -- facts: activity and messages
        coalesce(activity.touchpoint_count, 0) as touchpoint_count,
        coalesce(activity.visit_count, 0) as visit_count,
        coalesce(activity.email_sent_count, 0) as email_sent_count,
        coalesce(activity.email_delivered_count, 0) as email_delivered_count,
        coalesce(activity.email_open_count, 0) as email_open_count,
        coalesce(activity.email_click_count, 0) as email_click_count,
        coalesce(activity.email_bounce_count, 0) as email_bounce_count,
        coalesce(activity.message_sent_count, 0) as message_sent_count,
        coalesce(activity.message_click_count, 0) as message_click_count,
        coalesce(activity.referral_count, 0) as referral_count,
        case when engagement.customer_id is null then 0 else engagement.engagement_index end
            as engagement_index,
        -- facts: lifecycle
        -- Somebody known from undated records alone has no history yet.
        coalesce(current_facts.stage, 'awareness') as lifecycle_stage,
        coalesce(current_facts.is_loyal, false) as is_loyal,
        coalesce(current_facts.is_advocate, false) as is_advocate,
        coalesce(current_facts.is_expanding, false) as is_expanding,
        coalesce(current_facts.is_at_risk, false) as is_at_risk,
        current_facts.risk_reason,
        coalesce(highest_stages.highest_stage_reached, 'awareness') as highest_stage_reached,
        -- facts: support and opinion
        coalesce(support.ticket_count, 0) as ticket_count,
        coalesce(support.open_ticket_count, 0) as open_ticket_count,
        coalesce(support.review_count, 0) as review_count,
        support.average_review_rating,
        cast(support.last_nps_score as double) as last_nps_score,
        cast(support.last_csat_score as double) as last_csat_score,
        cast(support.last_ces_score as double) as last_ces_score,
        -- facts: scores, null until a model was accepted
        cast(null as double) as churn_score,
        cast(null as decimal(18, 2)) as predicted_clv_12m_amount,
        -- times
        first_moments.first_seen_at,
        current_facts.first_paid_at as became_customer_at,
        current_facts.last_human_at as last_activity_at,
        orders.first_order_at,
        orders.last_order_at,
        activity.last_visit_at,
        activity.last_email_click_at,
        support.last_ticket_at,
        support.last_review_at,
        subscriptions.subscription_ended_at,
        current_facts.closed_at as account_closed_at,
        current_stages.lifecycle_stage_since_at,
        cast({{ as_of_date() }} as date) as as_of_date
    from customers
    left join profiles on customers.customer_id = profiles.customer_id
    left join orders on customers.customer_id = orders.customer_id
    left join consents on customers.customer_id = consents.customer_id
    left join support on customers.customer_id = support.customer_id
    left join subscriptions on customers.customer_id = subscriptions.customer_id
    left join activity on customers.customer_id = activity.customer_id
    left join acquisitions on customers.customer_id = acquisitions.customer_id
    left join engagement on customers.customer_id = engagement.customer_id
    left join identifiers_counted on customers.customer_id = identifiers_counted.customer_id
    left join current_facts on customers.customer_id = current_facts.customer_id
    left join first_moments on customers.customer_id = first_moments.customer_id
    left join highest_stages on customers.customer_id = highest_stages.customer_id
    left join current_stages on customers.customer_id = current_stages.customer_id
)

select * from published
