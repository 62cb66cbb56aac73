-- Grain: one row per customer with a persona, and the set of thresholds that it is judged by.

with

contacts as (select * from {{ ref('stg_contacts') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'contacts'),

personas_ranked as (
    select
        links.customer_id,
        contacts.persona,
        row_number() over (
            partition by links.customer_id
            order by
                contacts.created_at desc nulls last,
                links.source_system asc nulls last,
                links.record_id asc nulls last
        ) as persona_rank
    from contacts
    inner join links
        on contacts.source_system = links.source_system
        and contacts.contact_id = links.record_id
    where contacts.persona is not null
),

personas as (
    select
        personas_ranked.customer_id,
        personas_ranked.persona,
        coalesce(settings.threshold_persona, 'default') as threshold_persona
    from personas_ranked
    left join settings on personas_ranked.persona = settings.threshold_persona
    where personas_ranked.persona_rank = 1
)

select * from personas
