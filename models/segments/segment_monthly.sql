-- Grain: one row per segment and month of the reporting zone, from the month of its first member.
-- Two balances: opening + entered - exited = closing, of members; and opening + new + reactivated + moved in - churned -
-- moved out = closing, of active customers among them.

with

memberships as (select * from {{ ref('segment_history') }}),

spells as (select * from {{ ref('int_active_spells') }}),

customer_changes as (
    select * from {{ ref('int_customer_balance_changes') }} where churned_from_opening_count = 1
),

months as (select * from {{ ref('int_months') }}),

orders as (
    select * from {{ ref('int_orders') }} where is_counted and customer_id is not null
),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

member_moves as (
    select
        segment_name,
        {{ local_month('valid_from_at') }} as month,
        'entered' as move
    from memberships
    union all
    select
        segment_name,
        {{ local_month('valid_to_at') }} as month,
        'exited' as move
    from memberships
    where valid_to_at is not null
),

-- A membership and a spell of being active overlap. Where both begin or end at once, it is the customer that changed:
-- new rather than moved in, churned rather than moved out.
active_memberships as (
    select
        memberships.segment_name,
        case
            when spells.valid_from_at < memberships.valid_from_at then 'moved_in'
            when spells.spell_number = 1 then 'new'
            else 'reactivated'
        end as entry_move,
        case
            when
                spells.valid_to_at <= memberships.valid_to_at or memberships.valid_to_at is null
                then 'churned'
            else 'moved_out'
        end as exit_move,
        greatest(memberships.valid_from_at, spells.valid_from_at) as valid_from_at,
        least(memberships.valid_to_at, spells.valid_to_at) as valid_to_at
    from memberships
    inner join spells
        on memberships.customer_id = spells.customer_id
        and (spells.valid_to_at is null or memberships.valid_from_at < spells.valid_to_at)
        and (memberships.valid_to_at is null or memberships.valid_to_at > spells.valid_from_at)
),

active_member_moves as (
    select
        segment_name,
        {{ local_month('valid_from_at') }} as month,
        entry_move as move
    from active_memberships
    union all
    select
        segment_name,
        {{ local_month('valid_to_at') }} as month,
        exit_move as move
    from active_memberships
    where valid_to_at is not null
),

-- Of the customers who were active when a month began and not when it ended, those who were members when it began.
churned_members as (
    select
        memberships.segment_name,
        customer_changes.month,
        'churned_from_opening' as move
    from customer_changes
    inner join months on customer_changes.month = months.month
    inner join memberships
        on customer_changes.customer_id = memberships.customer_id
        and months.month_begins_at > memberships.valid_from_at
        and (
            memberships.valid_to_at is null or months.month_begins_at <= memberships.valid_to_at
        )
),

moves_unioned as (
    select * from member_moves
    union all
    select * from active_member_moves
    union all
    select * from churned_members
),

moves_counted as (
    select
        segment_name,
        month,
        cast(count(case when move = 'entered' then 1 end) as bigint) as entered_count,
        cast(count(case when move = 'exited' then 1 end) as bigint) as exited_count,
        cast(count(case when move = 'new' then 1 end) as bigint) as new_count,
        cast(count(case when move = 'reactivated' then 1 end) as bigint) as reactivated_count,
        cast(count(case when move = 'churned' then 1 end) as bigint) as churned_count,
        cast(count(case when move = 'moved_in' then 1 end) as bigint) as moved_in_count,
        cast(count(case when move = 'moved_out' then 1 end) as bigint) as moved_out_count,
        cast(count(case when move = 'churned_from_opening' then 1 end) as bigint)
            as churned_from_opening_count
    from moves_unioned
    group by segment_name, month
),

member_orders as (
    select
        memberships.segment_name,
        orders.order_key,
        orders.customer_id,
        orders.gross_revenue_amount,
        orders.discount_amount,
        orders.cost_amount,
        orders.order_month
    from orders
    inner join memberships
        on orders.customer_id = memberships.customer_id
        and orders.ordered_at >= memberships.valid_from_at
        and (memberships.valid_to_at is null or orders.ordered_at < memberships.valid_to_at)
),

orders_added as (
    select
        segment_name,
        order_month as month,
        cast(count(*) as bigint) as order_count,
        cast(count(distinct customer_id) as bigint) as customer_count,
        cast(count(cost_amount) as bigint) as costed_order_count,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(sum(cost_amount) as decimal(18, 2)) as cost_amount
    from member_orders
    group by segment_name, order_month
),

refunds_added as (
    select
        member_orders.segment_name,
        refunds.refund_month as month,
        cast(sum(refunds.item_refund_amount) as decimal(18, 2)) as refund_amount
    from refunds
    inner join member_orders on refunds.order_key = member_orders.order_key
    group by member_orders.segment_name, refunds.refund_month
),

segments as (
    select
        segment_name,
        min(month) as first_month
    from moves_counted
    group by segment_name
),

months_counted as (
    select
        months.month as segment_month,
        segments.segment_name,
        months.is_complete,
        coalesce(moves_counted.entered_count, 0) as entered_count,
        coalesce(moves_counted.exited_count, 0) as exited_count,
        coalesce(moves_counted.new_count, 0) as new_count,
        coalesce(moves_counted.reactivated_count, 0) as reactivated_count,
        coalesce(moves_counted.churned_count, 0) as churned_count,
        coalesce(moves_counted.moved_in_count, 0) as moved_in_count,
        coalesce(moves_counted.moved_out_count, 0) as moved_out_count,
        coalesce(moves_counted.churned_from_opening_count, 0) as churned_from_opening_count,
        coalesce(orders_added.order_count, 0) as order_count,
        coalesce(orders_added.customer_count, 0) as customer_count,
        coalesce(orders_added.costed_order_count, 0) as costed_order_count,
        cast(coalesce(orders_added.gross_revenue_amount, 0) as decimal(18, 2))
            as gross_revenue_amount,
        cast(coalesce(orders_added.discount_amount, 0) as decimal(18, 2)) as discount_amount,
        cast(coalesce(orders_added.cost_amount, 0) as decimal(18, 2)) as cost_amount,
        cast(coalesce(refunds_added.refund_amount, 0) as decimal(18, 2)) as refund_amount
    from segments
    inner join months on segments.first_month <= months.month
    left join moves_counted
        on segments.segment_name = moves_counted.segment_name
        and months.month = moves_counted.month
    left join orders_added
        on segments.segment_name = orders_added.segment_name
        and months.month = orders_added.month
    left join refunds_added
        on segments.segment_name = refunds_added.segment_name
        and months.month = refunds_added.month
),

months_changed as (
    select
        *,
        entered_count - exited_count as member_change,
        new_count
        + reactivated_count
        + moved_in_count
        - churned_count
        - moved_out_count as active_change,
        cast(gross_revenue_amount - discount_amount - refund_amount as decimal(18, 2))
            as net_revenue_amount
    from months_counted
),

balances as (
    select
        *,
        coalesce(cast(sum(member_change) over before_it as bigint), 0) as opening_member_count,
        coalesce(cast(sum(active_change) over before_it as bigint), 0) as active_opening_count
    from months_changed
    window before_it as (
        partition by segment_name
        order by segment_month asc nulls last
        rows between unbounded preceding and 1 preceding
    )
),

published as (
    select
        -- keys
        segment_month,
        segment_name,
        -- facts: members
        is_complete,
        opening_member_count,
        entered_count,
        exited_count,
        cast(opening_member_count + member_change as bigint) as closing_member_count,
        -- facts: active customers among them
        active_opening_count,
        new_count,
        reactivated_count,
        moved_in_count,
        churned_count,
        moved_out_count,
        cast(active_opening_count + active_change as bigint) as active_closing_count,
        churned_from_opening_count,
        cast(churned_from_opening_count as double) / nullif(active_opening_count, 0)
            as churn_rate,
        -- facts: what members bought
        order_count,
        customer_count,
        cast({{ reporting_currency() }} as string) as currency,
        gross_revenue_amount,
        discount_amount,
        refund_amount,
        net_revenue_amount,
        -- Unknown as soon as the cost of one order is.
        cast(
            case
                when costed_order_count = order_count then net_revenue_amount - cost_amount
            end as decimal(18, 2)
        ) as gross_margin_amount
    from balances
)

select * from published
