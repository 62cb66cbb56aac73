-- Grain: one row per month of the reporting zone and product that was looked at, put in a cart, sold or given back.

with

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where
        event_name in ('product_viewed', 'product_added')
        and product_id is not null
        and not is_machine
),

lines as (
    select * from {{ ref('int_order_line_amounts') }} where is_counted and product_id is not null
),

refunds as (
    select * from {{ ref('int_refunds') }} where is_counted and product_id is not null
),

product_names as (select * from {{ ref('int_product_names') }}),

-- One line per customer, product and month: how often they looked, and when first.
interests as (
    select
        {{ local_month('occurred_at') }} as popularity_month,
        product_id,
        customer_id,
        cast(count(case when event_name = 'product_viewed' then 1 end) as bigint) as view_count,
        cast(count(case when event_name = 'product_added' then 1 end) as bigint) as cart_count,
        min(case when event_name = 'product_viewed' then occurred_at end) as first_viewed_at
    from timeline
    group by {{ local_month('occurred_at') }}, product_id, customer_id
),

purchases as (
    select
        order_month as popularity_month,
        product_id,
        customer_id,
        max(ordered_at) as last_ordered_at
    from lines
    where quantity > 0 and not is_return and customer_id is not null
    group by order_month, product_id, customer_id
),

interests_added as (
    select
        interests.popularity_month,
        interests.product_id,
        cast(sum(interests.view_count) as bigint) as view_count,
        cast(count(interests.first_viewed_at) as bigint) as viewer_count,
        cast(sum(interests.cart_count) as bigint) as cart_count,
        cast(
            count(
                case when purchases.last_ordered_at >= interests.first_viewed_at then 1 end
            ) as bigint
        ) as buying_viewer_count
    from interests
    left join purchases
        on interests.popularity_month = purchases.popularity_month
        and interests.product_id = purchases.product_id
        and interests.customer_id = purchases.customer_id
    group by interests.popularity_month, interests.product_id
),

sales_added as (
    select
        order_month as popularity_month,
        product_id,
        cast(count(distinct case when not is_return then order_key end) as bigint) as order_count,
        cast(count(distinct case when not is_return then customer_id end) as bigint)
            as customer_count,
        cast(sum(case when not is_return then quantity else 0 end) as decimal(18, 4)) as quantity,
        cast(sum(case when is_return then abs(quantity) else 0 end) as decimal(18, 4))
            as returned_quantity,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount
    from lines
    group by order_month, product_id
),

refunds_added as (
    select
        refund_month as popularity_month,
        product_id,
        cast(sum(refunded_quantity) as decimal(18, 4)) as refunded_quantity,
        cast(sum(item_refund_amount) as decimal(18, 2)) as refund_amount
    from refunds
    group by refund_month, product_id
),

keys as (
    select
        popularity_month,
        product_id
    from interests_added
    union
    select
        popularity_month,
        product_id
    from sales_added
    union
    select
        popularity_month,
        product_id
    from refunds_added
),

products as (
    select
        keys.popularity_month,
        keys.product_id,
        product_names.product_name,
        product_names.category,
        coalesce(interests_added.view_count, 0) as view_count,
        coalesce(interests_added.viewer_count, 0) as viewer_count,
        coalesce(interests_added.cart_count, 0) as cart_count,
        coalesce(interests_added.buying_viewer_count, 0) as buying_viewer_count,
        coalesce(sales_added.order_count, 0) as order_count,
        coalesce(sales_added.customer_count, 0) as customer_count,
        coalesce(sales_added.quantity, 0) as quantity,
        coalesce(sales_added.returned_quantity, 0) + coalesce(refunds_added.refunded_quantity, 0)
            as returned_quantity,
        coalesce(sales_added.gross_revenue_amount, 0) as gross_revenue_amount,
        coalesce(sales_added.discount_amount, 0) as discount_amount,
        coalesce(refunds_added.refund_amount, 0) as refund_amount
    from keys
    left join interests_added
        on keys.popularity_month = interests_added.popularity_month
        and keys.product_id = interests_added.product_id
    left join sales_added
        on keys.popularity_month = sales_added.popularity_month
        and keys.product_id = sales_added.product_id
    left join refunds_added
        on keys.popularity_month = refunds_added.popularity_month
        and keys.product_id = refunds_added.product_id
    left join product_names on keys.product_id = product_names.product_id
),

popularity as (
    select
        -- keys
        popularity_month,
        product_id,
        -- facts
        product_name,
        category,
        cast(popularity_month + interval 1 month as date) <= cast({{ as_of_date() }} + 1 as date)
            as is_complete,
        cast(view_count as bigint) as view_count,
        cast(viewer_count as bigint) as viewer_count,
        cast(cart_count as bigint) as cart_count,
        cast(order_count as bigint) as order_count,
        cast(customer_count as bigint) as customer_count,
        cast(quantity as decimal(18, 4)) as quantity,
        cast(returned_quantity as decimal(18, 4)) as returned_quantity,
        cast({{ reporting_currency() }} as string) as currency,
        cast(gross_revenue_amount as decimal(18, 2)) as gross_revenue_amount,
        cast(discount_amount as decimal(18, 2)) as discount_amount,
        cast(refund_amount as decimal(18, 2)) as refund_amount,
        cast(buying_viewer_count as bigint) as buying_viewer_count,
        cast(buying_viewer_count as double) / nullif(viewer_count, 0) as view_to_order_rate,
        cast(
            row_number() over (
                partition by popularity_month
                order by
                    view_count desc nulls last,
                    viewer_count desc nulls last,
                    product_id asc nulls last
            ) as bigint
        ) as view_rank,
        cast(
            row_number() over (
                partition by popularity_month
                order by
                    gross_revenue_amount - discount_amount desc nulls last,
                    order_count desc nulls last,
                    product_id asc nulls last
            ) as bigint
        ) as revenue_rank
    from products
)

select * from popularity
