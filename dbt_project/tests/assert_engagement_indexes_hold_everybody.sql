-- Everybody has an index from 0 to 100 and is in one step of it; and the weights name components that the index knows,
-- each with its window.
{{ config(meta={'dagster': {'ref': {'name': 'engagement_index_distribution'}}}) }}

with

distribution as (select * from {{ ref('engagement_index_distribution') }}),

customers as (select * from {{ ref('customer_360') }}),

weights as (select * from {{ ref('engagement_weights') }}),

people as (
    select
        lifecycle_stage,
        cast(count(*) as bigint) as customer_count
    from customers
    group by lifecycle_stage
),

people_in_steps as (
    select
        lifecycle_stage,
        cast(sum(customer_count) as bigint) as customer_count
    from distribution
    group by lifecycle_stage
),

differences as (
    select
        'stage' as place,
        coalesce(people.lifecycle_stage, people_in_steps.lifecycle_stage) as named
    from people
    full outer join people_in_steps on people.lifecycle_stage = people_in_steps.lifecycle_stage
    where people.customer_count is distinct from people_in_steps.customer_count
    union all
    select
        'index' as place,
        customer_id as named
    from customers
    where engagement_index is null or engagement_index not between 0 and 100
    union all
    select
        'weight' as place,
        component as named
    from weights
    where component not in (
            'recency', 'active_days', 'visits', 'clicks', 'used_days', 'orders', 'opinions'
        )
        or coalesce(weight < 0, true)
        or coalesce(saturation <= 0, true)
        or (component != 'recency' and coalesce(window_days < 1, true))
)

select * from differences
