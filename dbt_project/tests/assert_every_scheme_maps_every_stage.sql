-- Every scheme of seeds/lifecycle_schemes.csv knows a word for every stage: one row without a condition, behind all rows
-- of that stage that have one. Every row is a stage that the scheme forgets or a row that nobody ever reaches.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle_schemes'}}}) }}

with

schemes as (select * from {{ ref('lifecycle_schemes') }}),

stages as (select * from {{ ref('lifecycle_stages') }}),

last_rows as (
    select
        scheme,
        stage,
        max(precedence) as last_precedence,
        max(case when condition is null then precedence end) as unconditional_precedence,
        count(*) - count(condition) as unconditional_count
    from schemes
    group by scheme, stage
),

names as (select distinct scheme from schemes),

differences as (
    select
        names.scheme,
        stages.stage,
        last_rows.unconditional_count
    from names
    cross join stages
    left join last_rows
        on names.scheme = last_rows.scheme
        and stages.stage = last_rows.stage
    where last_rows.unconditional_count is distinct from 1
        or last_rows.unconditional_precedence < last_rows.last_precedence
)

select * from differences
