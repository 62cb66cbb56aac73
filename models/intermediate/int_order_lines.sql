-- Grain: one row per order line, in the order's own currency.

with

order_items as (select * from {{ ref('stg_order_items') }}),

products as (select * from {{ ref('stg_products') }}),

lines as (
    select
        -- keys
        order_items.source_system,
        order_items.id_namespace,
        order_items.order_id,
        order_items.line_number,
        order_items.product_id,
        -- facts
        products.category,
        order_items.quantity,
        order_items.line_amount,
        coalesce(order_items.discount_amount, 0) as discount_amount,
        -- More than 18 digits, else large quantities of dear things overflow.
        cast(order_items.quantity as decimal(19, 4))
        * coalesce(order_items.unit_cost_amount, products.unit_cost_amount) as cost_amount,
        order_items.quantity < 0 or order_items.line_amount < 0 as is_return,
        order_items.quantity = 0 or order_items.line_amount = 0 as is_zero
    from order_items
    left join products
        on order_items.id_namespace = products.id_namespace
        and order_items.product_id = products.product_id
)

select * from lines
