-- Grain: one row per refunded conversion, channel and campaign on its path: what each model takes back from it.

with

credits as (select * from {{ ref('int_attribution_credits') }} where refund_amount != 0),

{{ allocated_amounts('credits', 'refund_amount') }},

refunds as (
    select
        -- keys
        order_key,
        channel,
        campaign_id,
        -- facts
        {{ per_model('{model}_amount as {model}_refund_amount') }},
        -- times
        conversion_month
    from allocated
)

select * from refunds
