-- Grain: one row per month of opening, reason and product with a ticket; what is not said is '(none)'.
-- The columns that begin with reason_ are of all products together, because customers cannot be added up.

with

tickets as (select * from {{ ref('int_tickets') }} where is_counted),

orders as (select * from {{ ref('int_orders') }} where is_counted),

order_lines as (select * from {{ ref('int_order_lines') }} where not is_return),

revenue_days as (select * from {{ ref('int_customer_revenue_days') }}),

months as (select * from {{ ref('int_months') }}),

contacts as (
    select
        opened_month as contact_month,
        coalesce(contact_reason, '(none)') as contact_reason,
        coalesce(product_id, '(none)') as product_id,
        customer_id
    from tickets
),

contacts_counted as (
    select
        contact_month,
        contact_reason,
        product_id,
        cast(count(*) as bigint) as ticket_count,
        cast(count(distinct customer_id) as bigint) as customer_count
    from contacts
    group by contact_month, contact_reason, product_id
),

reasons_counted as (
    select
        contact_month,
        contact_reason,
        cast(count(*) as bigint) as reason_ticket_count,
        cast(count(distinct customer_id) as bigint) as reason_customer_count
    from contacts
    group by contact_month, contact_reason
),

first_months as (select min(contact_month) as first_month from contacts),

-- What a customer who wrote in a month had brought in the 365 days up to its end.
customers as (
    select distinct
        contact_month,
        customer_id,
        least(
            cast(cast(contact_month + interval 1 month as date) - 1 as date), {{ as_of_date() }}
        ) as last_date
    from contacts
    where customer_id is not null
),

customers_valued as (
    select
        customers.contact_month,
        customers.customer_id,
        cast(sum(revenue_days.net_revenue_amount) as decimal(18, 2)) as net_revenue_amount
    from customers
    inner join revenue_days
        on customers.customer_id = revenue_days.customer_id
        and customers.last_date >= revenue_days.revenue_date
        and cast(customers.last_date - 365 as date) < revenue_days.revenue_date
    group by customers.contact_month, customers.customer_id
),

customers_touched as (
    select distinct
        contact_month,
        contact_reason,
        product_id,
        customer_id
    from contacts
    where customer_id is not null
),

products_valued as (
    select
        customers_touched.contact_month,
        customers_touched.contact_reason,
        customers_touched.product_id,
        cast(sum(customers_valued.net_revenue_amount) as decimal(18, 2)) as net_revenue_amount
    from customers_touched
    inner join customers_valued
        on customers_touched.contact_month = customers_valued.contact_month
        and customers_touched.customer_id = customers_valued.customer_id
    group by
        customers_touched.contact_month,
        customers_touched.contact_reason,
        customers_touched.product_id
),

customers_of_reasons as (
    select distinct
        contact_month,
        contact_reason,
        customer_id
    from customers_touched
),

reasons_valued as (
    select
        customers_of_reasons.contact_month,
        customers_of_reasons.contact_reason,
        cast(sum(customers_valued.net_revenue_amount) as decimal(18, 2)) as net_revenue_amount
    from customers_of_reasons
    inner join customers_valued
        on customers_of_reasons.contact_month = customers_valued.contact_month
        and customers_of_reasons.customer_id = customers_valued.customer_id
    group by customers_of_reasons.contact_month, customers_of_reasons.contact_reason
),

reasons_ranked as (
    select
        reasons_counted.contact_month,
        reasons_counted.contact_reason,
        reasons_counted.reason_ticket_count,
        reasons_counted.reason_customer_count,
        cast(coalesce(reasons_valued.net_revenue_amount, 0) as decimal(18, 2))
            as reason_net_revenue_amount,
        rank() over (
            partition by reasons_counted.contact_month
            order by
                reasons_counted.reason_customer_count desc nulls last,
                coalesce(reasons_valued.net_revenue_amount, 0) desc nulls last,
                reasons_counted.reason_ticket_count desc nulls last
        ) as reason_rank
    from reasons_counted
    left join reasons_valued
        on reasons_counted.contact_month = reasons_valued.contact_month
        and reasons_counted.contact_reason = reasons_valued.contact_reason
),

orders_counted as (
    select
        order_month,
        cast(count(*) as bigint) as order_count
    from orders
    group by order_month
),

-- A product's id is the same in whatever system, so namespaces are not looked at.
products_asked_about as (
    select distinct product_id
    from contacts
),

orders_of_products as (
    select
        orders.order_month,
        order_lines.product_id,
        cast(count(distinct orders.order_key) as bigint) as order_count
    from order_lines
    semi join products_asked_about on order_lines.product_id = products_asked_about.product_id
    inner join orders
        on order_lines.source_system = orders.source_system
        and order_lines.order_id = orders.order_id
    group by orders.order_month, order_lines.product_id
),

previous_months as (
    select
        cast(contact_month + interval 1 month as date) as contact_month,
        contact_reason,
        product_id,
        ticket_count
    from contacts_counted
),

contacts_compared as (
    select
        contacts_counted.contact_month,
        contacts_counted.contact_reason,
        contacts_counted.product_id,
        contacts_counted.ticket_count,
        contacts_counted.customer_count,
        coalesce(months.is_complete, true) as is_complete,
        case
            when contacts_counted.contact_month > first_months.first_month
                then coalesce(previous_months.ticket_count, 0)
        end as previous_ticket_count,
        case
            when contacts_counted.product_id = '(none)'
                then coalesce(orders_counted.order_count, 0)
            else coalesce(orders_of_products.order_count, 0)
        end as order_count,
        cast(coalesce(products_valued.net_revenue_amount, 0) as decimal(18, 2))
            as net_revenue_amount
    from contacts_counted
    cross join first_months
    left join months on contacts_counted.contact_month = months.month
    left join previous_months
        on contacts_counted.contact_month = previous_months.contact_month
        and contacts_counted.contact_reason = previous_months.contact_reason
        and contacts_counted.product_id = previous_months.product_id
    left join orders_counted on contacts_counted.contact_month = orders_counted.order_month
    left join orders_of_products
        on contacts_counted.contact_month = orders_of_products.order_month
        and contacts_counted.product_id = orders_of_products.product_id
    left join products_valued
        on contacts_counted.contact_month = products_valued.contact_month
        and contacts_counted.contact_reason = products_valued.contact_reason
        and contacts_counted.product_id = products_valued.product_id
),

published as (
    select
        -- keys
        contacts_compared.contact_month,
        contacts_compared.contact_reason,
        contacts_compared.product_id,
        -- facts
        contacts_compared.is_complete,
        contacts_compared.ticket_count,
        contacts_compared.customer_count,
        rank() over (
            partition by contacts_compared.contact_month
            order by
                contacts_compared.ticket_count desc nulls last,
                contacts_compared.customer_count desc nulls last
        ) as ticket_rank,
        cast(contacts_compared.previous_ticket_count as bigint) as previous_ticket_count,
        -- A month that goes on is not compared with one that is over.
        case
            when contacts_compared.is_complete
                then cast(contacts_compared.ticket_count as double)
                    / nullif(contacts_compared.previous_ticket_count, 0)
                    - 1
        end as change_rate,
        cast(contacts_compared.order_count as bigint) as order_count,
        1000
        * cast(contacts_compared.ticket_count as double)
        / nullif(contacts_compared.order_count, 0) as contacts_per_1000_orders,
        cast({{ reporting_currency() }} as string) as currency,
        contacts_compared.net_revenue_amount,
        rank() over (
            partition by contacts_compared.contact_month
            order by contacts_compared.net_revenue_amount desc nulls last
        ) as revenue_rank,
        reasons_ranked.reason_ticket_count,
        reasons_ranked.reason_customer_count,
        reasons_ranked.reason_net_revenue_amount,
        reasons_ranked.reason_rank
    from contacts_compared
    inner join reasons_ranked
        on contacts_compared.contact_month = reasons_ranked.contact_month
        and contacts_compared.contact_reason = reasons_ranked.contact_reason
)

select * from published
