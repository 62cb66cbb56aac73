-- Everybody at risk is in one group, and the costs between revenue and margin are those of the orders of their year.
{{ config(meta={'dagster': {'ref': {'name': 'money_at_risk'}}}) }}

with

money as (select * from {{ ref('money_at_risk') }}),

customers as (select * from {{ ref('customer_360') }} where is_at_risk),

orders as (
    select *
    from {{ ref('int_orders') }}
    where is_counted and order_date > cast({{ as_of_date() }} - 365 as date)
),

people as (
    select
        customers.lifecycle_stage,
        customers.risk_reason,
        cast(count(*) as bigint) as customer_count
    from customers
    group by customers.lifecycle_stage, customers.risk_reason
),

groups_added as (
    select
        lifecycle_stage,
        risk_reason,
        cast(sum(at_risk_customer_count) as bigint) as customer_count
    from money
    group by lifecycle_stage, risk_reason
),

-- What was sold without a known cost is sold, whatever was given back later.
unknown_costs as (
    select
        cast(
            coalesce(sum(orders.gross_revenue_amount - orders.discount_amount), 0)
            as decimal(18, 2)
        ) as unknown_cost_12m_amount
    from orders
    semi join customers on orders.customer_id = customers.customer_id
    where orders.cost_amount is null
),

costs as (
    select cast(coalesce(sum(orders.cost_amount), 0) as decimal(18, 2)) as cost_amount
    from orders
    semi join customers on orders.customer_id = customers.customer_id
),

amounts as (
    select
        cast(coalesce(sum(unknown_cost_12m_amount), 0) as decimal(18, 2))
            as unknown_cost_12m_amount,
        cast(coalesce(sum(net_revenue_12m_amount - gross_margin_12m_amount), 0) as decimal(18, 2))
            as cost_amount
    from money
),

differences as (
    select
        coalesce(people.lifecycle_stage, groups_added.lifecycle_stage) as lifecycle_stage,
        coalesce(people.risk_reason, groups_added.risk_reason) as risk_reason
    from people
    full outer join groups_added
        on people.lifecycle_stage = groups_added.lifecycle_stage
        and people.risk_reason = groups_added.risk_reason
    where people.customer_count is distinct from groups_added.customer_count
    union all
    select
        '(all)' as lifecycle_stage,
        '(all)' as risk_reason
    from amounts
    cross join unknown_costs
    cross join costs
    where amounts.unknown_cost_12m_amount != unknown_costs.unknown_cost_12m_amount
        or amounts.cost_amount != costs.cost_amount
)

select * from differences
