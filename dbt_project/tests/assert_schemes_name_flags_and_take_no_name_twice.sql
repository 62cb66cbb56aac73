-- A condition of seeds/lifecycle_schemes.csv is a flag beside the stage (lifecycle_flags in dbt_project.yml); another word
-- would never hold. The names of the canonical scheme and of those that are computed are taken.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle_schemes'}}}) }}

with

schemes as (select * from {{ ref('lifecycle_schemes') }}),

computed_stages as (select * from {{ ref('computed_scheme_stages') }}),

names_taken as (
    select 'lifecycle' as scheme
    union
    select scheme from computed_stages
),

differences as (
    select
        schemes.scheme,
        schemes.precedence,
        schemes.condition
    from schemes
    left join names_taken on schemes.scheme = names_taken.scheme
    where names_taken.scheme is not null
        or schemes.condition not in {{ text_list(scheme_flags(), 12) }}
)

select * from differences
