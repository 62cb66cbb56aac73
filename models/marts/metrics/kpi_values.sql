-- Grain: one row per metric, month, dimension and value of the dimension; `all` stands for the whole.
-- What a metric means stands in the semantic layer; here are the figures of those that a target is set for.
-- To add one: a CTE with its name, a line in `figures`, a line in seeds/kpi_targets.csv.

with

calendar_months as (select * from {{ ref('int_months') }}),

revenue as (select * from {{ ref('revenue_monthly') }}),

cohorts as (select * from {{ ref('retention_cohorts_monthly') }}),

stage_days as (select * from {{ ref('lifecycle_stage_daily') }} where scheme = 'lifecycle'),

stages as (select * from {{ ref('lifecycle_stages') }}),

balances as (select * from {{ ref('customer_balance_monthly') }}),

group_balances as (select * from {{ ref('customer_balance_by_group_monthly') }}),

mrr_movements as (select * from {{ ref('mrr_movements_monthly') }}),

acquisition_costs as (select * from {{ ref('acquisition_cost_monthly') }}),

lead_cohorts as (select * from {{ ref('lead_cohorts_monthly') }}),

activations as (select * from {{ ref('activation_cohorts') }}),

onboardings as (select * from {{ ref('onboarding_monthly') }}),

frequencies as (select * from {{ ref('purchase_frequency_monthly') }}),

expansions as (select * from {{ ref('expansion_revenue_monthly') }}),

abandonments as (select * from {{ ref('abandonment_monthly') }}),

emails as (select * from {{ ref('email_engagement_monthly') }}),

engagements as (select * from {{ ref('engagement_monthly') }}),

experiences as (select * from {{ ref('experience_monthly') }}),

satisfaction_trends as (select * from {{ ref('satisfaction_trend_monthly') }}),

support as (select * from {{ ref('support_total_monthly') }}),

-- A month without a sale is a month with a revenue of 0.
first_sales as (
    select min(revenue_month) as first_month
    from revenue
),

revenue_filled as (
    select
        calendar_months.month as revenue_month,
        coalesce(revenue.order_count, 0) as order_count,
        coalesce(revenue.customer_count, 0) as customer_count,
        coalesce(revenue.gross_revenue_amount, 0) as gross_revenue_amount,
        coalesce(revenue.discount_amount, 0) as discount_amount,
        coalesce(revenue.gross_revenue_amount - revenue.discount_amount, 0) as charged_amount,
        coalesce(revenue.refund_amount, 0) as refund_amount,
        coalesce(revenue.net_revenue_amount, 0) as net_revenue_amount
    from calendar_months
    inner join first_sales on calendar_months.month >= first_sales.first_month
    left join revenue on calendar_months.month = revenue.revenue_month
),

net_revenue as (
    select {{ kpi_figure('net_revenue', 'revenue_month', 'net_revenue_amount') }}
    from revenue_filled
),

orders as (
    select {{ kpi_figure('orders', 'revenue_month', 'order_count') }}
    from revenue_filled
),

buyers as (
    select {{ kpi_figure('buyers', 'revenue_month', 'customer_count') }}
    from revenue_filled
),

average_order_value as (
    select
        {{ kpi_figure(
            'average_order_value', 'revenue_month', 'charged_amount', 'order_count'
        ) }}
    from revenue_filled
),

discount_rate as (
    select
        {{ kpi_figure(
            'discount_rate', 'revenue_month', 'discount_amount', 'gross_revenue_amount'
        ) }}
    from revenue_filled
),

refund_rate as (
    select {{ kpi_figure('refund_rate', 'revenue_month', 'refund_amount', 'charged_amount') }}
    from revenue_filled
),

retention_rate_month_1 as (
    select
        {{ kpi_figure(
            'retention_rate_month_1', 'cohort_month', 'retained_customer_count', 'cohort_customer_count'
        ) }}
    from cohorts
    where month_number = 1
),

retention_rate_month_3 as (
    select
        {{ kpi_figure(
            'retention_rate_month_3', 'cohort_month', 'retained_customer_count', 'cohort_customer_count'
        ) }}
    from cohorts
    where month_number = 3
),

-- Stages as they stand at the end of each month; of the month that is not over, at the end of the run's day.
month_ends as (
    select
        cast(date_trunc('month', stage_date) as date) as stage_month,
        max(stage_date) as stage_date
    from stage_days
    group by cast(date_trunc('month', stage_date) as date)
),

stage_ends as (
    select
        month_ends.stage_month,
        stage_days.stage,
        stages.is_active,
        stage_days.customer_count
    from stage_days
    inner join month_ends on stage_days.stage_date = month_ends.stage_date
    inner join stages on stage_days.stage = stages.stage
),

standings as (
    select
        stage_month,
        cast(sum(case when is_active then customer_count else 0 end) as bigint) as active_count,
        cast(sum(case when stage = 'at_risk' then customer_count else 0 end) as bigint)
            as at_risk_count
    from stage_ends
    group by stage_month
),

active_customers as (
    select {{ kpi_figure('active_customers', 'stage_month', 'active_count') }}
    from standings
),

at_risk_rate as (
    select {{ kpi_figure('at_risk_rate', 'stage_month', 'at_risk_count', 'active_count') }}
    from standings
),

people_in_stage as (
    select
        {{ kpi_figure(
            'people_in_stage', 'stage_month', 'customer_count', dimension='stage', dimension_value='stage'
        ) }}
    from stage_ends
),

churn_rate as (
    select
        {{ kpi_figure(
            'churn_rate', 'balance_month', 'churned_from_opening_count', 'opening_count'
        ) }}
    from balances
),

persona_balances as (
    select
        balance_month,
        persona,
        cast(sum(opening_count) as bigint) as opening_count,
        cast(sum(churned_from_opening_count) as bigint) as churned_from_opening_count
    from group_balances
    group by balance_month, persona
),

churn_rate_by_persona as (
    select
        {{ kpi_figure(
            'churn_rate',
            'balance_month',
            'churned_from_opening_count',
            'opening_count',
            dimension='persona',
            dimension_value='persona'
        ) }}
    from persona_balances
),

channel_balances as (
    select
        balance_month,
        acquisition_channel,
        cast(sum(opening_count) as bigint) as opening_count,
        cast(sum(churned_from_opening_count) as bigint) as churned_from_opening_count
    from group_balances
    group by balance_month, acquisition_channel
),

churn_rate_by_channel as (
    select
        {{ kpi_figure(
            'churn_rate',
            'balance_month',
            'churned_from_opening_count',
            'opening_count',
            dimension='acquisition_channel',
            dimension_value='acquisition_channel'
        ) }}
    from channel_balances
),

retention_rate as (
    select
        {{ kpi_figure(
            'retention_rate',
            'balance_month',
            'opening_count - churned_from_opening_count',
            'opening_count'
        ) }}
    from balances
),

reactivation_rate as (
    select
        {{ kpi_figure(
            'reactivation_rate',
            'balance_month',
            'reactivated_from_opening_count',
            'inactive_opening_count'
        ) }}
    from balances
),

closing_mrr as (
    select {{ kpi_figure('closing_mrr', 'mrr_month', 'closing_mrr_amount') }}
    from mrr_movements
),

mrr_kept as (
    select
        mrr_month,
        opening_mrr_amount,
        opening_mrr_amount + expansion_mrr_amount - contraction_mrr_amount - churn_mrr_amount
            as kept_mrr_amount
    from mrr_movements
),

net_mrr_retention_rate as (
    select
        {{ kpi_figure(
            'net_mrr_retention_rate', 'mrr_month', 'kept_mrr_amount', 'opening_mrr_amount'
        ) }}
    from mrr_kept
),

leads as (
    select {{ kpi_figure('leads', 'acquisition_month', 'lead_count') }}
    from acquisition_costs
),

new_customers as (
    select {{ kpi_figure('new_customers', 'acquisition_month', 'new_customer_count') }}
    from acquisition_costs
),

cost_per_lead as (
    select {{ kpi_figure('cost_per_lead', 'acquisition_month', 'spend_amount', 'lead_count') }}
    from acquisition_costs
),

blended_cac as (
    select
        {{ kpi_figure(
            'blended_cac', 'acquisition_month', 'acquisition_cost_amount', 'new_customer_count'
        ) }}
    from acquisition_costs
),

-- Sums of what is not known yet are not known either.
leads_added as (
    select
        cohort_month,
        cast(sum(lead_count) as bigint) as lead_count,
        cast(sum(customer_30d_count) as bigint) as customer_30d_count
    from lead_cohorts
    group by cohort_month
),

lead_to_customer_30_days_rate as (
    select
        {{ kpi_figure(
            'lead_to_customer_30_days_rate', 'cohort_month', 'customer_30d_count', 'lead_count'
        ) }}
    from leads_added
),

activations_added as (
    select
        cohort_month,
        cast(sum(cohort_customer_count) as bigint) as cohort_customer_count,
        cast(sum(activated_count) as bigint) as activated_count
    from activations
    group by cohort_month
),

activation_rate as (
    select
        {{ kpi_figure(
            'activation_rate', 'cohort_month', 'activated_count', 'cohort_customer_count'
        ) }}
    from activations_added
),

activation_rate_by_group as (
    select
        {{ kpi_figure(
            'activation_rate',
            'cohort_month',
            'activated_count',
            'cohort_customer_count',
            dimension='channel_group',
            dimension_value='acquisition_channel'
        ) }}
    from activations
),

onboarding_completion_rate as (
    select
        {{ kpi_figure(
            'onboarding_completion_rate', 'cohort_month', 'completed_count', 'started_count'
        ) }}
    from onboardings
),

repurchase_frequency as (
    select
        {{ kpi_figure(
            'repurchase_frequency', 'frequency_month', 'order_count', 'customer_count'
        ) }}
    from frequencies
),

repeat_purchase_rate as (
    select
        {{ kpi_figure(
            'repeat_purchase_rate', 'frequency_month', 'repeat_customer_count', 'customer_count'
        ) }}
    from frequencies
),

expansion_rate as (
    select
        {{ kpi_figure(
            'expansion_rate', 'expansion_month', 'expansion_amount', 'item_revenue_amount'
        ) }}
    from expansions
),

cart_abandonment_rate as (
    select
        {{ kpi_figure(
            'cart_abandonment_rate', 'abandonment_month', 'abandoned_count', 'started_count'
        ) }}
    from abandonments
    where abandonment_kind = 'cart'
),

checkout_abandonment_rate as (
    select
        {{ kpi_figure(
            'checkout_abandonment_rate', 'abandonment_month', 'abandoned_count', 'started_count'
        ) }}
    from abandonments
    where abandonment_kind = 'checkout'
),

cart_recovery_rate as (
    select
        {{ kpi_figure(
            'cart_recovery_rate', 'abandonment_month', 'recovered_count', 'matured_abandoned_count'
        ) }}
    from abandonments
    where abandonment_kind = 'cart'
),

emails_added as (
    select
        sent_month,
        cast(sum(delivered_count) as bigint) as delivered_count,
        cast(sum(unique_click_count) as bigint) as unique_click_count,
        cast(sum(unsubscribed_count) as bigint) as unsubscribed_count
    from emails
    group by sent_month
),

email_click_rate as (
    select
        {{ kpi_figure(
            'email_click_rate', 'sent_month', 'unique_click_count', 'delivered_count'
        ) }}
    from emails_added
),

email_unsubscribe_rate as (
    select
        {{ kpi_figure(
            'email_unsubscribe_rate', 'sent_month', 'unsubscribed_count', 'delivered_count'
        ) }}
    from emails_added
),

active_people_28_days as (
    select {{ kpi_figure('active_people_28_days', 'engagement_month', 'active_28d_count') }}
    from engagements
),

relational_nps_90_days as (
    select
        {{ kpi_figure('relational_nps_90_days', 'trend_month', 'score_sum', 'answer_count') }}
    from satisfaction_trends
    where survey_kind = 'nps' and survey_basis = 'relational'
),

csat_added as (
    select
        experience_month,
        cast(sum(scored_count) as bigint) as scored_count,
        cast(sum(satisfied_count) as bigint) as satisfied_count
    from experiences
    where survey_kind = 'csat'
    group by experience_month
),

csat_rate as (
    select {{ kpi_figure('csat_rate', 'experience_month', 'satisfied_count', 'scored_count') }}
    from csat_added
),

surveys_added as (
    select
        experience_month,
        cast(sum(sent_count) as bigint) as sent_count,
        cast(sum(answered_count) as bigint) as answered_count
    from experiences
    where sent_count is not null
    group by experience_month
),

survey_response_rate as (
    select
        {{ kpi_figure(
            'survey_response_rate', 'experience_month', 'answered_count', 'sent_count'
        ) }}
    from surveys_added
),

first_contact_resolution_rate as (
    select
        {{ kpi_figure(
            'first_contact_resolution_rate',
            'support_month',
            'first_contact_resolved_count',
            'first_contact_eligible_count'
        ) }}
    from support
),

repeat_contact_rate as (
    select
        {{ kpi_figure(
            'repeat_contact_rate', 'support_month', 'repeat_customer_count', 'customer_count'
        ) }}
    from support
),

figures as (
    select * from net_revenue
    union all
    select * from orders
    union all
    select * from buyers
    union all
    select * from average_order_value
    union all
    select * from discount_rate
    union all
    select * from refund_rate
    union all
    select * from retention_rate_month_1
    union all
    select * from retention_rate_month_3
    union all
    select * from active_customers
    union all
    select * from at_risk_rate
    union all
    select * from people_in_stage
    union all
    select * from churn_rate
    union all
    select * from churn_rate_by_persona
    union all
    select * from churn_rate_by_channel
    union all
    select * from retention_rate
    union all
    select * from reactivation_rate
    union all
    select * from closing_mrr
    union all
    select * from net_mrr_retention_rate
    union all
    select * from leads
    union all
    select * from new_customers
    union all
    select * from cost_per_lead
    union all
    select * from blended_cac
    union all
    select * from lead_to_customer_30_days_rate
    union all
    select * from activation_rate
    union all
    select * from activation_rate_by_group
    union all
    select * from onboarding_completion_rate
    union all
    select * from repurchase_frequency
    union all
    select * from repeat_purchase_rate
    union all
    select * from expansion_rate
    union all
    select * from cart_abandonment_rate
    union all
    select * from checkout_abandonment_rate
    union all
    select * from cart_recovery_rate
    union all
    select * from email_click_rate
    union all
    select * from email_unsubscribe_rate
    union all
    select * from active_people_28_days
    union all
    select * from relational_nps_90_days
    union all
    select * from csat_rate
    union all
    select * from survey_response_rate
    union all
    select * from first_contact_resolution_rate
    union all
    select * from repeat_contact_rate
),

published as (
    select
        -- keys
        metric_name,
        value_month,
        dimension,
        dimension_value,
        -- facts
        numerator,
        denominator,
        case when is_ratio then numerator / nullif(denominator, 0) else numerator end as value
    from figures
)

select * from published
