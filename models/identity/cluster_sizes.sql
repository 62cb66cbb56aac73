-- Grain: one row per number of contact records that a customer has.

with

links as (select * from {{ ref('customer_links') }}),

customers as (
    select
        customer_id,
        cast(count(case when record_table = 'contacts' then 1 end) as bigint)
            as contact_record_count,
        cast(count(distinct source_system) as bigint) as source_count
    from links
    group by customer_id
),

sizes as (
    select
        -- keys
        contact_record_count,
        -- facts
        cast(count(*) as bigint) as customer_count,
        cast(max(source_count) as bigint) as highest_source_count
    from customers
    group by contact_record_count
)

select * from sizes
