-- Grain: one row per touch of a path: one that leads to a conversion, or one that leads nowhere.
-- A touch belongs to the customer's next conversion when that comes within the lookback window. It leads nowhere when the
-- window of null paths has passed without a conversion; such touches are one path as long as none of them lies further
-- apart than that. Neither is known yet, or neither holds, for the rest: they are in no path.

with

conversions as (
    select *
    from {{ ref('int_attribution_conversions') }}
    where customer_id is not null
),

touches as (select * from {{ ref('int_attribution_touches') }}),

settings as (
    select
        *,
        greatest(lookback_days, null_path_days) + 1 as longest_days
    from {{ ref('stg_metric_settings') }}
),

stops as (
    select distinct
        stop_number,
        channel,
        campaign_id,
        is_direct
    from {{ ref('int_attribution_stops') }}
),

-- Touches and conversions meet in spans of time that are longer than both windows, each conversion in its own and the
-- one before: so nobody's whole past is compared with all that they ever bought.
touches_spanned as (
    select
        touches.customer_id,
        touches.stop_number,
        touches.touched_at,
        cast(
            floor(
                {{ days_between("cast('2000-01-01 00:00:00' as timestamp)", 'touches.touched_at') }}
                / nullif(settings.longest_days, 0)
            ) as bigint
        ) as span_number
    from touches
    cross join settings
),

-- Of two at one instant the first by its key has the path.
conversions_following as (
    select
        customer_id,
        order_key,
        converted_at,
        lag(converted_at) over (
            partition by customer_id
            order by converted_at asc nulls last, order_key asc nulls last
        ) as previous_converted_at
    from conversions
    where path_kind = 'touches'
),

conversions_spanned as (
    select
        conversions_following.*,
        cast(
            floor(
                {{ days_between(
                    "cast('2000-01-01 00:00:00' as timestamp)", 'conversions_following.converted_at'
                ) }}
                / nullif(settings.longest_days, 0)
            ) as bigint
        )
        - steps.step_number as span_number
    from conversions_following
    cross join settings
    cross join (values (0), (1)) as steps (step_number)
),

-- Where first orders alone are conversions, nobody can convert again: what follows is no path.
customers_won as (
    select
        conversions.customer_id,
        min(conversions.converted_at) as won_at
    from conversions
    cross join settings
    where settings.attribution_conversion = 'first_order'
    group by conversions.customer_id
),

touches_placed as (
    select
        touches_spanned.customer_id,
        touches_spanned.stop_number,
        touches_spanned.touched_at,
        conversions_spanned.order_key,
        conversions_spanned.converted_at,
        {{ add_days('touches_spanned.touched_at', 'settings.lookback_days') }} as counts_until_at,
        {{ add_days('touches_spanned.touched_at', 'settings.null_path_days') }} as led_nowhere_at
    from touches_spanned
    cross join settings
    left join conversions_spanned
        on touches_spanned.customer_id = conversions_spanned.customer_id
        and touches_spanned.span_number = conversions_spanned.span_number
        and touches_spanned.touched_at <= conversions_spanned.converted_at
        and touches_spanned.touched_at > coalesce(
            conversions_spanned.previous_converted_at, cast('0001-01-01 00:00:00' as timestamp)
        )
    left join customers_won on touches_spanned.customer_id = customers_won.customer_id
    where customers_won.won_at is null or touches_spanned.touched_at <= customers_won.won_at
),

-- A conversion between two touches that led nowhere makes them lie far apart as well.
null_touches as (
    select
        customer_id,
        stop_number,
        touched_at,
        led_nowhere_at,
        lag(led_nowhere_at) over (
            partition by customer_id
            order by touched_at asc nulls last, stop_number asc nulls last
        ) as previous_led_nowhere_at
    from touches_placed
    where led_nowhere_at <= {{ as_of_end() }}
        and (
            converted_at is null
            or (converted_at > led_nowhere_at and converted_at > counts_until_at)
        )
),

null_paths as (
    select
        customer_id,
        stop_number,
        touched_at,
        count(case when previous_led_nowhere_at >= touched_at then null else 1 end) over (
            partition by customer_id
            order by touched_at asc nulls last, stop_number asc nulls last
            rows between unbounded preceding and current row
        ) as null_path_number
    from null_touches
),

path_touches as (
    select
        order_key as path_key,
        cast(0 as bigint) as null_path_number,
        stop_number,
        touched_at
    from touches_placed
    where converted_at <= counts_until_at
    union all
    select
        customer_id as path_key,
        null_path_number,
        stop_number,
        touched_at
    from null_paths
),

path_visits as (
    select
        path_touches.*,
        stops.is_direct
    from path_touches
    inner join stops on path_touches.stop_number = stops.stop_number
),

path_sizes as (
    select
        path_key,
        null_path_number,
        cast(count(*) as bigint) as visit_count,
        cast(count(case when not is_direct then 1 end) as bigint) as brought_count,
        max(touched_at) as last_visited_at,
        max(case when not is_direct then touched_at end) as last_brought_at
    from path_visits
    group by path_key, null_path_number
),

-- Direct visits count only where a path holds nothing else.
touches_kept as (
    select
        path_visits.path_key,
        path_visits.null_path_number,
        path_visits.stop_number,
        path_visits.touched_at,
        case
            when path_sizes.brought_count > 0 then path_sizes.brought_count
            else path_sizes.visit_count
        end as touch_count,
        coalesce(path_sizes.last_brought_at, path_sizes.last_visited_at) as last_touched_at
    from path_visits
    inner join path_sizes
        on path_visits.path_key = path_sizes.path_key
        and path_visits.null_path_number = path_sizes.null_path_number
    where path_sizes.brought_count = 0 or not path_visits.is_direct
),

touches_numbered as (
    select
        *,
        row_number() over in_path as touch_number,
        lead(stop_number) over in_path as next_stop_number
    from touches_kept
    window
        in_path as (
            partition by path_key, null_path_number
            order by touched_at asc nulls last, stop_number asc nulls last
        )
),

paths as (
    select
        -- keys
        touches_numbered.path_key,
        touches_numbered.null_path_number,
        touches_numbered.touch_number,
        -- facts
        touches_numbered.null_path_number = 0 as is_converted,
        touches_numbered.touch_count,
        stops.channel,
        stops.campaign_id,
        next_stops.channel as next_channel,
        next_stops.campaign_id as next_campaign_id,
        -- times
        touches_numbered.touched_at,
        touches_numbered.last_touched_at
    from touches_numbered
    inner join stops on touches_numbered.stop_number = stops.stop_number
    left join stops as next_stops on touches_numbered.next_stop_number = next_stops.stop_number
)

select * from paths
