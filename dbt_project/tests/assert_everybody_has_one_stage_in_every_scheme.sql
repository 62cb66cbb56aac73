-- Everybody stands in every scheme, in a stage of it; where another table says the same thing it says the same.
{{ config(meta={'dagster': {'ref': {'name': 'customer_scheme_stages'}}}) }}

with

customers as (select * from {{ ref('customer_360') }}),

customer_stages as (select * from {{ ref('customer_scheme_stages') }}),

scheme_stages as (select * from {{ ref('int_scheme_stages') }}),

names as (select distinct scheme from scheme_stages),

differences as (
    select
        coalesce(customers.customer_id, customer_stages.customer_id) as customer_id,
        coalesce(names.scheme, customer_stages.scheme) as scheme,
        customer_stages.stage
    from customers
    cross join names
    full outer join customer_stages
        on customers.customer_id = customer_stages.customer_id
        and names.scheme = customer_stages.scheme
    left join scheme_stages
        on customer_stages.scheme = scheme_stages.scheme
        and customer_stages.stage = scheme_stages.stage
    where customers.customer_id is null
        or scheme_stages.stage is null
        or (
            names.scheme = 'lifecycle'
            and (
                customer_stages.stage != customers.lifecycle_stage
                or customer_stages.stage_since_at
                is distinct from customers.lifecycle_stage_since_at
            )
        )
        or (names.scheme = 'shopify_rfm' and customer_stages.stage != customers.rfm_group)
)

select * from differences
