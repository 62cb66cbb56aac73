-- Grain: one row per way to look at first orders (all, first_product, first_category, first_channel, first_discount,
-- acquisition_channel) and value of it.
-- Who bought several products first stands under each of them: values of products and categories do not add up.

with

paid_days as (select * from {{ ref('int_paid_order_days') }} where paid_number <= 2),

paid_orders as (select * from {{ ref('int_orders') }} where is_paid and customer_id is not null),

lines as (select * from {{ ref('int_order_line_amounts') }} where not is_return and quantity > 0),

beginnings as (select * from {{ ref('int_customer_beginnings') }}),

customers as (
    select
        first_days.customer_id,
        first_days.order_date,
        {{ add_days('first_days.paid_at', '90') }} <= {{ as_of_end() }} as is_matured_90d,
        {{ add_days('first_days.paid_at', '365') }} <= {{ as_of_end() }} as is_matured_365d,
        coalesce(second_days.paid_at < {{ add_days('first_days.paid_at', '90') }}, false)
            as has_ordered_90d,
        coalesce(second_days.paid_at < {{ add_days('first_days.paid_at', '365') }}, false)
            as has_ordered_365d
    from paid_days as first_days
    left join paid_days as second_days
        on first_days.customer_id = second_days.customer_id
        and second_days.paid_number = 2
    where first_days.paid_number = 1
),

first_orders as (
    select
        paid_orders.customer_id,
        paid_orders.order_key,
        paid_orders.order_channel,
        paid_orders.discount_amount,
        row_number() over (
            partition by paid_orders.customer_id
            order by paid_orders.ordered_at asc nulls last, paid_orders.order_key asc nulls last
        ) as order_rank
    from paid_orders
    inner join customers
        on paid_orders.customer_id = customers.customer_id
        and paid_orders.order_date = customers.order_date
),

discounts as (
    select
        customer_id,
        bool_or(discount_amount > 0) as has_discount
    from first_orders
    group by customer_id
),

values_unioned as (
    select
        customer_id,
        'all' as dimension,
        'all' as dimension_value
    from customers
    union all
    select distinct
        first_orders.customer_id,
        'first_product' as dimension,
        lines.product_id as dimension_value
    from first_orders
    left join lines on first_orders.order_key = lines.order_key
    union all
    select distinct
        first_orders.customer_id,
        'first_category' as dimension,
        lines.top_category as dimension_value
    from first_orders
    left join lines on first_orders.order_key = lines.order_key
    union all
    select
        customer_id,
        'first_channel' as dimension,
        order_channel as dimension_value
    from first_orders
    where order_rank = 1
    union all
    select
        customer_id,
        'first_discount' as dimension,
        case when has_discount then 'discount' when not has_discount then 'no discount' end
            as dimension_value
    from discounts
    union all
    select
        customers.customer_id,
        'acquisition_channel' as dimension,
        nullif(beginnings.acquisition_channel, 'unknown') as dimension_value
    from customers
    left join beginnings on customers.customer_id = beginnings.customer_id
),

counted as (
    select
        values_unioned.dimension,
        coalesce(values_unioned.dimension_value, '(unknown)') as dimension_value,
        cast(count(*) as bigint) as first_order_customer_count,
        cast(
            count(case when customers.is_matured_90d then 1 end) as bigint
        ) as matured_90d_customer_count,
        cast(
            count(
                case when customers.is_matured_90d and customers.has_ordered_90d then 1 end
            ) as bigint
        ) as second_order_90d_count,
        cast(
            count(case when customers.is_matured_365d then 1 end) as bigint
        ) as matured_365d_customer_count,
        cast(
            count(
                case when customers.is_matured_365d and customers.has_ordered_365d then 1 end
            ) as bigint
        ) as second_order_365d_count
    from values_unioned
    inner join customers on values_unioned.customer_id = customers.customer_id
    group by values_unioned.dimension, coalesce(values_unioned.dimension_value, '(unknown)')
),

rates as (
    select
        -- keys
        cast(dimension as string) as dimension,
        dimension_value,
        -- facts
        first_order_customer_count,
        matured_90d_customer_count,
        second_order_90d_count,
        cast(second_order_90d_count as double) / nullif(matured_90d_customer_count, 0)
            as second_order_90d_rate,
        matured_365d_customer_count,
        second_order_365d_count,
        cast(second_order_365d_count as double) / nullif(matured_365d_customer_count, 0)
            as second_order_365d_rate
    from counted
)

select * from rates
