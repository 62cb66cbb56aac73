-- Grain: one row per stage and ten points of the engagement index in which somebody stands.

with

customers as (
    select * from {{ ref('customer_360') }} where engagement_index is not null
),

customers_placed as (
    select
        lifecycle_stage,
        cast(least(floor(engagement_index / 10), 9) * 10 as bigint) as index_from,
        engagement_index
    from customers
),

counted as (
    select
        lifecycle_stage,
        index_from,
        cast(count(*) as bigint) as customer_count,
        cast(sum(cast(engagement_index as decimal(18, 2))) as double) as engagement_index_sum
    from customers_placed
    group by lifecycle_stage, index_from
),

published as (
    select
        -- keys
        lifecycle_stage,
        index_from,
        -- facts
        cast(index_from + 10 as bigint) as index_to,
        customer_count,
        engagement_index_sum,
        engagement_index_sum / nullif(customer_count, 0) as mean_engagement_index
    from counted
)

select * from published
