-- Grain: one row per conversion, channel and campaign on its path, with what each model credits it with.

with

credits as (select * from {{ ref('int_attribution_credits') }}),

{{ allocated_amounts('credits', 'revenue_amount') }},

published as (
    select
        -- keys
        source_system,
        order_id,
        channel,
        campaign_id,
        customer_id,
        -- facts
        is_first_order,
        place as first_touch_number,
        path_touch_count,
        touch_count,
        cast({{ reporting_currency() }} as string) as currency,
        {{ per_model('{model}_share, {model}_amount') }},
        -- times
        first_touched_at,
        last_touched_at,
        converted_at,
        conversion_month
    from allocated
)

select * from published
