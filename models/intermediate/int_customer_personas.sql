-- Grain: one row per customer with a persona, and the set of thresholds that it is judged by.

with

fields as (select * from {{ ref('int_customer_fields') }} where field_name = 'persona'),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

personas as (
    select
        fields.customer_id,
        fields.field_value as persona,
        coalesce(settings.threshold_persona, 'default') as threshold_persona
    from fields
    left join settings on fields.field_value = settings.threshold_persona
)

select * from personas
