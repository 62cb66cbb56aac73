-- Grain: one row per order, its money in the reporting currency, before refunds.
-- Converted line by line and then added up, so that items, orders and months agree to the cent.

with

orders as (select * from {{ ref('stg_orders') }}),

lines as (select * from {{ ref('int_order_lines') }}),

statuses as (select * from {{ ref('order_statuses') }}),

rates as (select * from {{ ref('int_exchange_rates') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'orders'),

orders_dated as (
    select
        *,
        {{ local_date('ordered_at') }} as order_date
    from orders
),

orders_rated as (
    select
        orders_dated.*,
        rates.exchange_rate,
        coalesce(statuses.is_counted, true) as is_status_counted
    from orders_dated
    left join statuses on orders_dated.order_status = statuses.order_status
    left join rates
        on orders_dated.currency = rates.currency
        and orders_dated.order_date >= rates.valid_from_date
        and (rates.valid_to_date is null or orders_dated.order_date < rates.valid_to_date)
),

lines_converted as (
    select
        lines.source_system,
        lines.order_id,
        {{ to_reporting_currency('lines.line_amount', 'orders_rated.exchange_rate') }}
            as line_amount,
        {{ to_reporting_currency('lines.discount_amount', 'orders_rated.exchange_rate') }}
            as discount_amount,
        {{ to_reporting_currency('lines.cost_amount', 'orders_rated.exchange_rate') }}
            as cost_amount
    from lines
    inner join orders_rated
        on lines.source_system = orders_rated.source_system
        and lines.order_id = orders_rated.order_id
),

lines_added as (
    select
        source_system,
        order_id,
        cast(count(*) as bigint) as line_count,
        cast(sum(line_amount) as decimal(18, 2)) as line_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(case when count(cost_amount) = count(*) then sum(cost_amount) end as decimal(18, 2))
            as cost_amount
    from lines_converted
    group by source_system, order_id
),

amounts as (
    select
        -- keys
        concat_ws(':', orders_rated.source_system, orders_rated.order_id) as order_key,
        orders_rated.source_system,
        orders_rated.id_namespace,
        orders_rated.order_id,
        links.customer_id,
        orders_rated.subscription_id,
        -- facts
        orders_rated.order_status,
        orders_rated.order_channel,
        orders_rated.currency,
        orders_rated.exchange_rate,
        orders_rated.exchange_rate is null as is_without_rate,
        not orders_rated.is_status_counted
        and coalesce(orders_rated.cancelled_at, orders_rated.ordered_at)
        < {{ as_of_end() }} as is_cancelled,
        coalesce(orders_rated.is_test, false) as is_test,
        coalesce(orders_rated.is_renewal, false) as is_renewal,
        orders_rated.total_amount,
        coalesce(lines_added.line_count, 0) as line_count,
        case
            when lines_added.order_id is not null then lines_added.line_amount
            else {{ to_reporting_currency(
                'orders_rated.total_amount - coalesce(orders_rated.tax_amount, 0)
                - coalesce(orders_rated.shipping_amount, 0) + coalesce(orders_rated.discount_amount, 0)',
                'orders_rated.exchange_rate'
            ) }}
        end as gross_revenue_amount,
        cast(
            coalesce(lines_added.discount_amount, 0)
            + {{ to_reporting_currency(
                'coalesce(orders_rated.discount_amount, 0)',
                'orders_rated.exchange_rate'
            ) }}
            as decimal(18, 2)
        ) as discount_amount,
        {{ to_reporting_currency(
            'coalesce(orders_rated.discount_amount, 0)',
            'orders_rated.exchange_rate'
        ) }} as order_discount_amount,
        lines_added.cost_amount,
        {{ to_reporting_currency(
            'coalesce(orders_rated.tax_amount, 0)',
            'orders_rated.exchange_rate'
        ) }} as tax_amount,
        {{ to_reporting_currency(
            'coalesce(orders_rated.shipping_amount, 0)',
            'orders_rated.exchange_rate'
        ) }} as shipping_amount,
        -- times
        orders_rated.ordered_at,
        orders_rated.order_date,
        orders_rated.delivered_at,
        orders_rated.cancelled_at
    from orders_rated
    left join lines_added
        on orders_rated.source_system = lines_added.source_system
        and orders_rated.order_id = lines_added.order_id
    left join links
        on orders_rated.source_system = links.source_system
        and orders_rated.order_id = links.record_id
)

select * from amounts
