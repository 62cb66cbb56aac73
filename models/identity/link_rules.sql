-- Grain: one row per rule, source and table: how many records it brought to a customer.

with

links as (select * from {{ ref('customer_links') }}),

rules as (
    select
        -- keys
        link_rule,
        source_system,
        record_table,
        -- facts
        cast(count(*) as bigint) as record_count,
        cast(count(distinct customer_id) as bigint) as customer_count,
        cast(min(confidence) as double) as lowest_confidence,
        cast(avg(confidence) as double) as mean_confidence
    from links
    group by
        link_rule,
        source_system,
        record_table
)

select * from rules
