-- Grain: one row per customer and field of their profile: the value that survives, and the record that says it.
-- A record without a date has always been there. Accounts and households carry whose ids they are.

with

contacts as (select * from {{ ref('stg_contacts') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'contacts'),

rules as (select * from {{ ref('stg_survivorship_rules') }}),

fields as (
    select
        field_name,
        survivorship_rule,
        source_rank as other_rank
    from rules
    where source_system is null
),

named_sources as (select * from rules where source_system is not null),

values_said as (
    select
        links.customer_id,
        links.source_system,
        links.record_id,
        links.confidence,
        fields.field_name,
        fields.survivorship_rule,
        fields.other_rank,
        case fields.field_name
            when 'country' then contacts.country
            when 'region' then contacts.region
            when 'city' then contacts.city
            when 'language' then contacts.language
            when 'timezone' then contacts.contact_timezone
            when 'gender' then contacts.gender
            when 'company' then contacts.company
            when 'account_id' then contacts.id_namespace || ':' || contacts.account_id
            when 'household_id' then contacts.id_namespace || ':' || contacts.household_id
            when 'persona' then contacts.persona
            when 'preferred_channel' then contacts.preferred_channel
            when 'topics' then contacts.topics
            when 'max_frequency' then cast(contacts.max_frequency as string)
            when 'onboarding_goal' then contacts.onboarding_goal
            when 'acquisition_source' then contacts.acquisition_source
            when 'brand' then contacts.brand
        end as field_value,
        contacts.created_at,
        coalesce(contacts.updated_at, contacts.created_at) as stated_at
    from contacts
    inner join links
        on contacts.source_system = links.source_system
        and contacts.contact_id = links.record_id
    cross join fields
),

values_placed as (
    select
        values_said.*,
        coalesce(named_sources.source_rank, values_said.other_rank) as source_rank
    from values_said
    left join named_sources
        on values_said.field_name = named_sources.field_name
        and values_said.source_system = named_sources.source_system
    where values_said.field_value is not null
),

-- What is frequent is counted among the records that are asked together.
agreements as (
    select
        customer_id,
        field_name,
        source_rank,
        field_value,
        count(*) as agreeing_count
    from values_placed
    where survivorship_rule = 'most_frequent'
    group by customer_id, field_name, source_rank, field_value
),

values_ranked as (
    select
        values_placed.*,
        row_number() over (
            partition by values_placed.customer_id, values_placed.field_name
            order by
                values_placed.source_rank asc nulls last,
                agreements.agreeing_count desc nulls last,
                case
                    when values_placed.survivorship_rule = 'earliest' then values_placed.created_at
                end asc nulls first,
                values_placed.stated_at desc nulls last,
                values_placed.source_system asc nulls last,
                values_placed.record_id asc nulls last
        ) as survivor_rank
    from values_placed
    left join agreements
        on values_placed.customer_id = agreements.customer_id
        and values_placed.field_name = agreements.field_name
        and values_placed.source_rank = agreements.source_rank
        and values_placed.field_value = agreements.field_value
),

survivors as (
    select
        -- keys
        customer_id,
        field_name,
        max(case when survivor_rank = 1 then source_system end) as source_system,
        max(case when survivor_rank = 1 then record_id end) as record_id,
        -- facts
        max(case when survivor_rank = 1 then field_value end) as field_value,
        cast(count(*) as bigint) as record_count,
        cast(count(distinct field_value) as bigint) as value_count,
        cast(max(case when survivor_rank = 1 then confidence end) as double) as confidence,
        -- times
        max(case when survivor_rank = 1 then stated_at end) as stated_at
    from values_ranked
    group by customer_id, field_name
)

select * from survivors
