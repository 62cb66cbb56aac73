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

settings as (select * from {{ ref('stg_metric_settings') }}),

-- Touches of one instant with an order come before it.
moments as (
    select
        customer_id,
        event_id as moment_key,
        channel,
        campaign_id,
        is_direct,
        0 as moment_rank,
        touched_at as happened_at
    from touches
    union all
    select
        customer_id,
        order_key as moment_key,
        cast(null as string) as channel,
        cast(null as string) as campaign_id,
        cast(null as boolean) as is_direct,
        1 as moment_rank,
        converted_at as happened_at
    from conversions
    where path_kind = 'touches'
),

moments_numbered as (
    select
        *,
        count(case when moment_rank = 1 then 1 end) over up_to_here as conversion_count,
        lag(case when moment_rank = 0 then happened_at end) over in_time as previous_touched_at
    from moments
    window
        in_time as (
            partition by customer_id
            order by
                happened_at asc nulls last,
                moment_rank asc nulls last,
                moment_key asc nulls last
        ),
        up_to_here as (
            partition by customer_id
            order by
                happened_at asc nulls last,
                moment_rank asc nulls last,
                moment_key asc nulls last
            rows between unbounded preceding and current row
        )
),

conversions_numbered as (
    select
        customer_id,
        moment_key as order_key,
        conversion_count as path_number,
        happened_at as converted_at
    from moments_numbered
    where moment_rank = 1
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
        moments_numbered.customer_id,
        moments_numbered.moment_key as event_id,
        moments_numbered.channel,
        moments_numbered.campaign_id,
        moments_numbered.is_direct,
        moments_numbered.happened_at as touched_at,
        moments_numbered.previous_touched_at,
        conversions_numbered.order_key,
        moments_numbered.conversion_count + 1 as path_number,
        {{ add_days('moments_numbered.happened_at', 'settings.null_path_days') }} as led_nowhere_at,
        coalesce(
            conversions_numbered.converted_at
            <= {{ add_days('moments_numbered.happened_at', 'settings.lookback_days') }},
            false
        ) as is_converted,
        conversions_numbered.converted_at
    from moments_numbered
    cross join settings
    left join conversions_numbered
        on moments_numbered.customer_id = conversions_numbered.customer_id
        and moments_numbered.conversion_count + 1 = conversions_numbered.path_number
    left join customers_won on moments_numbered.customer_id = customers_won.customer_id
    where moments_numbered.moment_rank = 0
        and (customers_won.won_at is null or moments_numbered.happened_at <= customers_won.won_at)
),

null_touches as (
    select
        touches_placed.*,
        count(
            case
                when touches_placed.previous_touched_at
                    >= {{ add_days('touches_placed.touched_at', '-settings.null_path_days') }}
                    then null
                else 1
            end
        ) over (
            partition by touches_placed.customer_id, touches_placed.path_number
            order by
                touches_placed.touched_at asc nulls last,
                touches_placed.event_id asc nulls last
            rows between unbounded preceding and current row
        ) as null_path_number
    from touches_placed
    cross join settings
    where not touches_placed.is_converted
        and touches_placed.led_nowhere_at <= {{ as_of_end() }}
        and (
            touches_placed.converted_at is null
            or touches_placed.converted_at > touches_placed.led_nowhere_at
        )
),

path_touches as (
    select
        customer_id,
        event_id,
        order_key,
        path_number,
        cast(0 as bigint) as null_path_number,
        channel,
        campaign_id,
        is_direct,
        touched_at
    from touches_placed
    where is_converted
    union all
    select
        customer_id,
        event_id,
        cast(null as string) as order_key,
        path_number,
        null_path_number,
        channel,
        campaign_id,
        is_direct,
        touched_at
    from null_touches
),

-- Direct visits stand behind the others of their path, so that those are numbered as if these were not there.
touches_numbered as (
    select
        *,
        row_number() over in_path as touch_number,
        lead(channel) over in_path as next_channel,
        lead(campaign_id) over in_path as next_campaign_id,
        count(*) over whole_path as visit_count,
        count(case when not is_direct then 1 end) over whole_path as brought_count,
        max(touched_at) over whole_path as last_visited_at,
        max(case when not is_direct then touched_at end) over whole_path as last_brought_at
    from path_touches
    window
        in_path as (
            partition by customer_id, path_number, null_path_number
            order by
                is_direct asc nulls last,
                touched_at asc nulls last,
                event_id asc nulls last
        ),
        whole_path as (
            partition by customer_id, path_number, null_path_number
            order by
                is_direct asc nulls last,
                touched_at asc nulls last,
                event_id asc nulls last
            rows between unbounded preceding and unbounded following
        )
),

touches_kept as (
    select
        *,
        case when brought_count > 0 then brought_count else visit_count end as touch_count,
        case when brought_count > 0 then last_brought_at else last_visited_at end as last_touched_at
    from touches_numbered
    where brought_count = 0 or not is_direct
),

paths as (
    select
        -- keys
        customer_id,
        order_key,
        event_id,
        -- facts
        touch_number,
        touch_count,
        channel,
        campaign_id,
        case when touch_number < touch_count then next_channel end as next_channel,
        case when touch_number < touch_count then next_campaign_id end as next_campaign_id,
        -- times
        touched_at,
        last_touched_at
    from touches_kept
)

select * from paths
