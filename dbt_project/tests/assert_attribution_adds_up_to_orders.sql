-- What each model gives the touches of an order is the order: its shares are one and its amounts what was sold.
{{ config(meta={'dagster': {'ref': {'name': 'attribution_conversions'}}}) }}

with

orders as (select * from {{ ref('int_attribution_conversions') }}),

credits as (select * from {{ ref('attribution_conversions') }}),

models as (
    select attribution_model
    from (values {{ model_rows() }}) as names (attribution_model)
),

credits_added as (
    select
        source_system,
        order_id,
        {{ per_model('cast(sum({model}_share) as double) as {model}_share') }},
        {{ per_model('cast(sum({model}_amount) as decimal(18, 2)) as {model}_amount') }}
    from credits
    group by source_system, order_id
),

credits_by_model as (
    select
        credits_added.source_system,
        credits_added.order_id,
        models.attribution_model,
        {{ of_model('models', 'credits_added', 'share') }} as credited_share,
        {{ of_model('models', 'credits_added', 'amount') }} as credited_amount
    from credits_added
    cross join models
),

differences as (
    select
        coalesce(orders.order_key, credits_by_model.order_id) as order_key,
        credits_by_model.attribution_model,
        credits_by_model.credited_share,
        credits_by_model.credited_amount,
        orders.revenue_amount
    from orders
    full outer join credits_by_model
        on orders.source_system = credits_by_model.source_system
        and orders.order_id = credits_by_model.order_id
    where orders.revenue_amount is distinct from credits_by_model.credited_amount
        or credits_by_model.credited_share is null
        or abs(credits_by_model.credited_share - 1) > 0.000001
)

select * from differences
