-- Grain: one row per stage, group of value and sign of leaving of the customers who are at risk on the run's day.
-- What is at stake is what they brought in the 365 days to the run's.

with

customers as (select * from {{ ref('customer_360') }} where is_at_risk),

current_facts as (select * from {{ ref('int_lifecycle_stages') }} where valid_to_at is null),

thresholds as (select * from {{ ref('int_lifecycle_thresholds') }}),

settings as (select * from {{ ref('int_metric_windows') }}),

orders as (select * from {{ ref('int_orders') }} where is_counted and customer_id is not null),

refunds as (select * from {{ ref('int_refunds') }} where is_counted and customer_id is not null),

-- Whose cost is unknown is taken as it was sold, and said to be so.
sales as (
    select
        orders.customer_id,
        orders.gross_revenue_amount - orders.discount_amount as net_amount,
        coalesce(orders.cost_amount, 0) as cost_amount,
        case
            when orders.cost_amount is null
                then orders.gross_revenue_amount - orders.discount_amount
            else 0
        end as unknown_cost_amount,
        orders.order_date as counted_date
    from orders
    semi join customers on orders.customer_id = customers.customer_id
    union all
    select
        refunds.customer_id,
        -refunds.item_refund_amount as net_amount,
        0 as cost_amount,
        0 as unknown_cost_amount,
        case settings.refund_basis
            when 'order_date' then orders.order_date
            else refunds.refund_date
        end as counted_date
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    cross join settings
    semi join customers on refunds.customer_id = customers.customer_id
),

sales_added as (
    select
        customer_id,
        cast(sum(net_amount) as decimal(18, 2)) as net_revenue_12m_amount,
        cast(sum(net_amount - cost_amount) as decimal(18, 2)) as gross_margin_12m_amount,
        cast(sum(unknown_cost_amount) as decimal(18, 2)) as unknown_cost_12m_amount
    from sales
    where counted_date > cast({{ as_of_date() }} - 365 as date)
    group by customer_id
),

customers_valued as (
    select
        customers.customer_id,
        customers.lifecycle_stage,
        customers.risk_reason,
        case
            when current_facts.net_revenue_amount >= thresholds.high_value_amount then 'high'
            else 'low'
        end as value_group,
        customers.mrr_amount,
        sales_added.net_revenue_12m_amount,
        sales_added.gross_margin_12m_amount,
        sales_added.unknown_cost_12m_amount
    from customers
    inner join current_facts on customers.customer_id = current_facts.customer_id
    inner join thresholds on current_facts.threshold_persona = thresholds.threshold_persona
    left join sales_added on customers.customer_id = sales_added.customer_id
),

published as (
    select
        -- keys
        lifecycle_stage,
        value_group,
        risk_reason,
        -- facts
        cast({{ reporting_currency() }} as string) as currency,
        cast(count(*) as bigint) as at_risk_customer_count,
        cast(coalesce(sum(net_revenue_12m_amount), 0) as decimal(18, 2)) as net_revenue_12m_amount,
        cast(coalesce(sum(gross_margin_12m_amount), 0) as decimal(18, 2))
            as gross_margin_12m_amount,
        cast(coalesce(sum(unknown_cost_12m_amount), 0) as decimal(18, 2))
            as unknown_cost_12m_amount,
        cast(coalesce(sum(mrr_amount), 0) as decimal(18, 2)) as mrr_amount,
        cast(null as decimal(18, 2)) as predicted_margin_12m_amount
    from customers_valued
    group by lifecycle_stage, value_group, risk_reason
)

select * from published
