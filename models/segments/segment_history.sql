-- Grain: one row per segment, customer and interval of membership.

with

lapsed as (select * from {{ ref('seg_lapsed') }}),

high_value_at_risk as (select * from {{ ref('seg_high_value_at_risk') }}),

new_customers as (select * from {{ ref('seg_new_customers') }}),

memberships_unioned as (
    select * from lapsed
    union all
    select * from high_value_at_risk
    union all
    select * from new_customers
)

select * from memberships_unioned
