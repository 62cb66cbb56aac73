-- Grain: one row per month, attribution model, channel and campaign with a conversion or spend in the month.
-- Spend does not depend on the model and stands in the rows of each: it is not to be added up over models.

with

credits as (select * from {{ ref('attribution_conversions') }}),

conversions as (select * from {{ ref('int_attribution_conversions') }}),

spend as (select * from {{ ref('int_marketing_spend') }} where not is_without_rate),

channels as (select * from {{ ref('channels') }}),

months as (select * from {{ ref('int_months') }}),

models as (
    select attribution_model
    from (values {{ model_rows() }}) as names (attribution_model)
),

conversions_added as (
    select
        conversion_month as attribution_month,
        channel,
        campaign_id,
        {{ per_model(
            'cast(sum(' ~ exact_weight('{model}_share') ~ ') as double) as {model}_conversion_count'
        ) }},
        {{ per_model(
            'cast(sum(case when is_first_order then ' ~ exact_weight('{model}_share')
            ~ ' else 0 end) as double) as {model}_new_customer_count'
        ) }},
        {{ per_model('cast(sum({model}_amount) as decimal(18, 2)) as {model}_revenue_amount') }}
    from credits
    group by
        conversion_month,
        channel,
        campaign_id
),

-- What was given back is divided like the order was.
credits_refunded as (
    select
        conversions.order_key,
        credits.conversion_month,
        credits.channel,
        credits.campaign_id,
        credits.first_touch_number as place,
        {{ per_model('credits.{model}_share') }},
        conversions.refund_amount,
        count(*) over (partition by conversions.order_key) as state_count
    from credits
    inner join conversions
        on credits.source_system = conversions.source_system
        and credits.order_id = conversions.order_id
    where conversions.refund_amount != 0
),

{{ allocated_amounts('credits_refunded', 'refund_amount') }},

refunds_added as (
    select
        conversion_month as attribution_month,
        channel,
        campaign_id,
        {{ per_model('cast(sum({model}_amount) as decimal(18, 2)) as {model}_refund_amount') }}
    from allocated
    group by
        conversion_month,
        channel,
        campaign_id
),

spend_grouped as (
    select
        spend.spend_month as attribution_month,
        coalesce(channels.channel_group, spend.channel) as channel,
        coalesce(spend.campaign_id, '(none)') as campaign_id,
        spend.spend_amount,
        spend.acquire_amount
    from spend
    left join channels on spend.channel = channels.channel
),

spend_added as (
    select
        attribution_month,
        channel,
        campaign_id,
        cast(sum(spend_amount) as decimal(18, 2)) as spend_amount,
        cast(sum(acquire_amount) as decimal(18, 2)) as acquire_spend_amount
    from spend_grouped
    group by
        attribution_month,
        channel,
        campaign_id
),

combinations as (
    select
        attribution_month,
        channel,
        campaign_id
    from conversions_added
    union
    select
        attribution_month,
        channel,
        campaign_id
    from spend_added
),

figures as (
    select
        combinations.attribution_month,
        models.attribution_model,
        combinations.channel,
        combinations.campaign_id,
        coalesce({{ of_model('models', 'conversions_added', 'conversion_count') }}, 0)
            as conversion_count,
        coalesce({{ of_model('models', 'conversions_added', 'new_customer_count') }}, 0)
            as new_customer_count,
        cast(
            coalesce({{ of_model('models', 'conversions_added', 'revenue_amount') }}, 0)
            as decimal(18, 2)
        ) as revenue_amount,
        cast(
            coalesce({{ of_model('models', 'refunds_added', 'refund_amount') }}, 0)
            as decimal(18, 2)
        ) as refund_amount,
        cast(coalesce(spend_added.spend_amount, 0) as decimal(18, 2)) as spend_amount,
        cast(coalesce(spend_added.acquire_spend_amount, 0) as decimal(18, 2))
            as acquire_spend_amount
    from combinations
    cross join models
    left join conversions_added
        on combinations.attribution_month = conversions_added.attribution_month
        and combinations.channel = conversions_added.channel
        and combinations.campaign_id = conversions_added.campaign_id
    left join refunds_added
        on combinations.attribution_month = refunds_added.attribution_month
        and combinations.channel = refunds_added.channel
        and combinations.campaign_id = refunds_added.campaign_id
    left join spend_added
        on combinations.attribution_month = spend_added.attribution_month
        and combinations.channel = spend_added.channel
        and combinations.campaign_id = spend_added.campaign_id
),

published as (
    select
        -- keys
        figures.attribution_month,
        figures.attribution_model,
        figures.channel,
        figures.campaign_id,
        -- facts
        figures.conversion_count,
        figures.new_customer_count,
        cast({{ reporting_currency() }} as string) as currency,
        figures.revenue_amount,
        figures.refund_amount,
        figures.spend_amount,
        figures.acquire_spend_amount,
        -- A share of a customer can be so small that the quotient has no room in the type.
        try_cast(
            round(
                cast(figures.acquire_spend_amount as double)
                / nullif(figures.new_customer_count, 0),
                2
            ) as decimal(18, 2)
        ) as cac_amount,
        cast(figures.revenue_amount as double)
        / nullif(cast(figures.spend_amount as double), 0) as roas,
        months.is_complete
    from figures
    inner join months on figures.attribution_month = months.month
)

select * from published
