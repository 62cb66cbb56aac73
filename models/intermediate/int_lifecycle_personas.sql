-- Grain: one row per lifecycle whose people have a persona: the set of thresholds that it is judged by.
-- In an account the persona of most of its people counts; of equally many the first by name.

with

personas as (select * from {{ ref('int_customer_personas') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

personas_counted as (
    select
        members.lifecycle_id,
        personas.threshold_persona,
        count(*) as customer_count
    from personas
    inner join members on personas.customer_id = members.customer_id
    group by members.lifecycle_id, personas.threshold_persona
),

personas_ranked as (
    select
        lifecycle_id,
        threshold_persona,
        row_number() over (
            partition by lifecycle_id
            order by customer_count desc nulls last, threshold_persona asc nulls last
        ) as persona_rank
    from personas_counted
),

lifecycles as (
    select
        lifecycle_id,
        threshold_persona
    from personas_ranked
    where persona_rank = 1
)

select * from lifecycles
