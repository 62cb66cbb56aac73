-- Grain: one row per person whose activation is asked for: from their first purchase on, or from their sign-up on.
-- A customer is activated by whatever happens in their lifecycle (in an account a colleague's use), who signed up by
-- what they do themselves.

with

people as (select * from {{ ref('int_customer_beginnings') }}),

timeline as (select * from {{ ref('int_timeline') }} where not is_machine),

touchpoint_types as (
    select * from {{ ref('touchpoint_types') }} where is_activation or is_value
),

months as (select * from {{ ref('int_months') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

signals as (
    select
        case settings.activation_basis
            when 'sign_up' then timeline.customer_id
            else timeline.lifecycle_id
        end as unit_id,
        min(case when touchpoint_types.is_activation then timeline.occurred_at end) as activated_at,
        min(case when touchpoint_types.is_value then timeline.occurred_at end) as valued_at
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
    cross join settings
    group by
        case settings.activation_basis
            when 'sign_up' then timeline.customer_id
            else timeline.lifecycle_id
        end
),

people_started as (
    select
        people.customer_id,
        people.acquisition_channel,
        settings.activation_basis,
        settings.activation_days,
        case settings.activation_basis
            when 'sign_up' then people.customer_id
            else people.lifecycle_id
        end as unit_id,
        case settings.activation_basis
            when 'sign_up' then people.signed_up_at
            else people.first_paid_at
        end as started_at
    from people
    cross join settings
),

people_placed as (
    select
        *,
        {{ local_month('started_at') }} as cohort_month,
        {{ add_days('started_at', 'activation_days') }} as ends_at
    from people_started
    where started_at is not null
),

activations as (
    select
        -- keys
        people_placed.customer_id,
        people_placed.cohort_month,
        -- facts
        people_placed.acquisition_channel,
        people_placed.activation_basis,
        people_placed.activation_days,
        months.is_complete,
        {{ add_days('months.month_ends_at', 'people_placed.activation_days') }}
        <= {{ as_of_end() }} as is_window_passed,
        coalesce(signals.activated_at < people_placed.ends_at, false) as is_activated,
        coalesce(signals.activated_at <= people_placed.started_at, false) as is_activated_before,
        coalesce(signals.valued_at < people_placed.ends_at, false) as is_valued,
        -- Whoever was there already needed no time.
        case
            when signals.activated_at < people_placed.ends_at
                then {{ days_between(
                    'people_placed.started_at',
                    'greatest(signals.activated_at, people_placed.started_at)'
                ) }}
        end as days_to_activate,
        case
            when signals.valued_at < people_placed.ends_at
                then {{ days_between(
                    'people_placed.started_at',
                    'greatest(signals.valued_at, people_placed.started_at)'
                ) }}
        end as days_to_value,
        -- times
        people_placed.started_at,
        signals.activated_at,
        signals.valued_at
    from people_placed
    inner join months on people_placed.cohort_month = months.month
    left join signals on people_placed.unit_id = signals.unit_id
)

select * from activations
