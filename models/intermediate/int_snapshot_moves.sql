-- Grain: one row per snapshot day, scheme, stage at the snapshot before and stage now: how many of everybody seen by
-- then. `from_stage` is null for those who were not seen yet at the snapshot before.

with

snapshots as (select * from {{ ref('int_scheme_snapshots') }}),

snapshot_days as (select * from {{ ref('int_snapshot_days') }}),

states as (select * from {{ ref('int_lifecycle_states') }} where previous_state is null),

-- What a scheme calls those who never bought: they have no row in a snapshot.
schemes as (
    select
        scheme,
        never_bought_stage
    from (
        values ('shopify_rfm', 'prospects'), ('amperity_predicted', 'prospect')
    ) as named (scheme, never_bought_stage)
),

first_seen as (
    select
        states.customer_id,
        snapshot_days.snapshot_number as first_number
    from states
    inner join snapshot_days
        on {{ local_date('states.valid_from_at') }} <= snapshot_days.snapshot_date
        and (
            snapshot_days.previous_snapshot_date is null
            or {{ local_date('states.valid_from_at') }} > snapshot_days.previous_snapshot_date
        )
),

buyers as (
    select
        snapshots.snapshot_number,
        first_seen.first_number < snapshots.snapshot_number as was_seen,
        lag(snapshots.shopify_rfm) over one_customer as previous_shopify_rfm,
        snapshots.shopify_rfm,
        lag(snapshots.amperity_predicted) over one_customer as previous_amperity_predicted,
        snapshots.amperity_predicted
    from snapshots
    inner join first_seen on snapshots.customer_id = first_seen.customer_id
    window one_customer as (
        partition by snapshots.customer_id order by snapshots.snapshot_number asc nulls last
    )
),

buyers_counted as (
    select
        snapshot_number,
        was_seen,
        'shopify_rfm' as scheme,
        previous_shopify_rfm as previous_stage,
        shopify_rfm as to_stage,
        cast(count(*) as bigint) as customer_count
    from buyers
    group by snapshot_number, was_seen, previous_shopify_rfm, shopify_rfm
    union all
    select
        snapshot_number,
        was_seen,
        'amperity_predicted' as scheme,
        previous_amperity_predicted as previous_stage,
        amperity_predicted as to_stage,
        cast(count(*) as bigint) as customer_count
    from buyers
    group by snapshot_number, was_seen, previous_amperity_predicted, amperity_predicted
),

everybody_counted as (
    select
        snapshot_days.snapshot_number,
        first_seen.first_number < snapshot_days.snapshot_number as was_seen,
        cast(count(*) as bigint) as customer_count
    from snapshot_days
    inner join first_seen on snapshot_days.snapshot_number >= first_seen.first_number
    group by
        snapshot_days.snapshot_number,
        first_seen.first_number < snapshot_days.snapshot_number
),

buyers_added as (
    select
        snapshot_number,
        was_seen,
        scheme,
        cast(sum(customer_count) as bigint) as customer_count
    from buyers_counted
    group by snapshot_number, was_seen, scheme
),

moves as (
    select
        buyers_counted.snapshot_number,
        buyers_counted.scheme,
        case
            when buyers_counted.was_seen
                then coalesce(buyers_counted.previous_stage, schemes.never_bought_stage)
        end as from_stage,
        buyers_counted.to_stage,
        buyers_counted.customer_count
    from buyers_counted
    inner join schemes on buyers_counted.scheme = schemes.scheme
    union all
    select
        everybody_counted.snapshot_number,
        schemes.scheme,
        case when everybody_counted.was_seen then schemes.never_bought_stage end as from_stage,
        schemes.never_bought_stage as to_stage,
        everybody_counted.customer_count - coalesce(buyers_added.customer_count, 0)
            as customer_count
    from everybody_counted
    cross join schemes
    left join buyers_added
        on everybody_counted.snapshot_number = buyers_added.snapshot_number
        and everybody_counted.was_seen = buyers_added.was_seen
        and schemes.scheme = buyers_added.scheme
),

moves_added as (
    select
        -- keys
        snapshot_days.snapshot_date,
        moves.scheme,
        moves.from_stage,
        moves.to_stage,
        -- facts
        cast(sum(moves.customer_count) as bigint) as customer_count
    from moves
    inner join snapshot_days on moves.snapshot_number = snapshot_days.snapshot_number
    group by snapshot_days.snapshot_date, moves.scheme, moves.from_stage, moves.to_stage
)

select * from moves_added
