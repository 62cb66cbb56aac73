-- Every month, under each model: conversions, revenue, refunds and spend are those of the orders and of what was spent.
-- Where every order is a conversion, the revenue is that of revenue_monthly.
{{ config(meta={'dagster': {'ref': {'name': 'attribution_monthly'}}}) }}

with

attribution as (select * from {{ ref('attribution_monthly') }}),

conversions as (select * from {{ ref('int_attribution_conversions') }}),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

spend as (select * from {{ ref('int_marketing_spend') }} where not is_without_rate),

revenue as (select * from {{ ref('revenue_monthly') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

models as (
    select attribution_model
    from (values {{ model_rows() }}) as names (attribution_model)
),

refunds_added as (
    select
        order_key,
        cast(sum(item_refund_amount) as decimal(18, 2)) as refund_amount
    from refunds
    group by order_key
),

figures as (
    select
        conversions.conversion_month as attribution_month,
        1 as conversion_count,
        case when conversions.is_first_order then 1 else 0 end as new_customer_count,
        conversions.revenue_amount,
        cast(coalesce(refunds_added.refund_amount, 0) as decimal(18, 2)) as refund_amount,
        cast(0 as decimal(18, 2)) as spend_amount
    from conversions
    left join refunds_added on conversions.order_key = refunds_added.order_key
    union all
    select
        spend_month as attribution_month,
        0 as conversion_count,
        0 as new_customer_count,
        cast(0 as decimal(18, 2)) as revenue_amount,
        cast(0 as decimal(18, 2)) as refund_amount,
        spend_amount
    from spend
),

expected as (
    select
        figures.attribution_month,
        models.attribution_model,
        cast(sum(figures.conversion_count) as bigint) as conversion_count,
        cast(sum(figures.new_customer_count) as bigint) as new_customer_count,
        cast(sum(figures.revenue_amount) as decimal(18, 2)) as revenue_amount,
        cast(sum(figures.refund_amount) as decimal(18, 2)) as refund_amount,
        cast(sum(figures.spend_amount) as decimal(18, 2)) as spend_amount
    from figures
    cross join models
    group by figures.attribution_month, models.attribution_model
),

found as (
    select
        attribution_month,
        attribution_model,
        cast(sum(conversion_count) as double) as conversion_count,
        cast(sum(new_customer_count) as double) as new_customer_count,
        cast(sum(revenue_amount) as decimal(18, 2)) as revenue_amount,
        cast(sum(refund_amount) as decimal(18, 2)) as refund_amount,
        cast(sum(spend_amount) as decimal(18, 2)) as spend_amount
    from attribution
    group by attribution_month, attribution_model
),

sold as (
    select revenue.*
    from revenue
    cross join settings
    where settings.attribution_conversion = 'every_order'
),

differences as (
    select
        'orders and spend' as place,
        coalesce(expected.attribution_month, found.attribution_month) as attribution_month,
        coalesce(expected.attribution_model, found.attribution_model) as attribution_model
    from expected
    full outer join found
        on expected.attribution_month = found.attribution_month
        and expected.attribution_model = found.attribution_model
    where expected.revenue_amount is distinct from found.revenue_amount
        or expected.refund_amount is distinct from found.refund_amount
        or expected.spend_amount is distinct from found.spend_amount
        or abs(expected.conversion_count - found.conversion_count) > 0.001
        or abs(expected.new_customer_count - found.new_customer_count) > 0.001
    union all
    select
        'revenue_monthly' as place,
        sold.revenue_month as attribution_month,
        models.attribution_model
    from sold
    cross join models
    left join found
        on sold.revenue_month = found.attribution_month
        and models.attribution_model = found.attribution_model
    where sold.gross_revenue_amount - sold.discount_amount
        is distinct from coalesce(found.revenue_amount, cast(0 as decimal(18, 2)))
)

select * from differences
