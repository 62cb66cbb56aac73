-- Channels, totals and reasons count the same tickets, agents all that they solved, and no part exceeds its whole.
{{ config(meta={'dagster': {'ref': {'name': 'support_total_monthly'}}}) }}

with

tickets as (select * from {{ ref('int_tickets') }} where is_counted),

channels as (select * from {{ ref('support_monthly') }}),

totals as (select * from {{ ref('support_total_monthly') }}),

reasons as (select * from {{ ref('contact_reasons_monthly') }}),

agents as (select * from {{ ref('support_agents_monthly') }}),

tickets_counted as (
    select
        opened_month,
        count(*) as ticket_count,
        count(distinct customer_id) as customer_count,
        count(case when is_solved then 1 end) as solved_count,
        count(case when is_first_contact_resolved then 1 end) as first_contact_resolved_count
    from tickets
    group by opened_month
),

channels_added as (
    select
        support_month,
        cast(sum(ticket_count) as bigint) as ticket_count,
        cast(sum(unidentified_ticket_count) as bigint) as unidentified_ticket_count,
        cast(sum(solved_count) as bigint) as solved_count,
        cast(sum(reopened_count) as bigint) as reopened_count,
        cast(sum(first_contact_eligible_count) as bigint) as first_contact_eligible_count,
        cast(sum(first_contact_resolved_count) as bigint) as first_contact_resolved_count,
        cast(sum(one_touch_count) as bigint) as one_touch_count,
        max(customer_count) as most_customer_count
    from channels
    group by support_month
),

reasons_added as (
    select
        contact_month,
        cast(sum(ticket_count) as bigint) as ticket_count
    from reasons
    group by contact_month
),

reasons_of_products as (
    select
        contact_month,
        contact_reason,
        max(reason_ticket_count) as reason_ticket_count,
        cast(sum(ticket_count) as bigint) as ticket_count
    from reasons
    group by contact_month, contact_reason
),

tickets_solved as (
    select
        solved_month,
        count(*) as solved_count
    from tickets
    where agent_id is not null and solved_month is not null
    group by solved_month
),

agents_added as (
    select
        solved_month,
        cast(sum(solved_count) as bigint) as solved_count
    from agents
    group by solved_month
),

differences as (
    select
        'tickets' as place,
        coalesce(tickets_counted.opened_month, totals.support_month) as support_month
    from tickets_counted
    full outer join totals on tickets_counted.opened_month = totals.support_month
    where coalesce(tickets_counted.ticket_count, 0) is distinct from totals.ticket_count
        or coalesce(tickets_counted.customer_count, 0) is distinct from totals.customer_count
        or coalesce(tickets_counted.solved_count, 0) is distinct from totals.solved_count
        or coalesce(tickets_counted.first_contact_resolved_count, 0)
        is distinct from totals.first_contact_resolved_count
    union all
    select
        'channels' as place,
        totals.support_month
    from totals
    left join channels_added on totals.support_month = channels_added.support_month
    where coalesce(channels_added.ticket_count, 0) != totals.ticket_count
        or coalesce(channels_added.unidentified_ticket_count, 0) != totals.unidentified_ticket_count
        or coalesce(channels_added.solved_count, 0) != totals.solved_count
        or coalesce(channels_added.reopened_count, 0) != totals.reopened_count
        or coalesce(channels_added.first_contact_eligible_count, 0)
        != totals.first_contact_eligible_count
        or coalesce(channels_added.first_contact_resolved_count, 0)
        != totals.first_contact_resolved_count
        or coalesce(channels_added.one_touch_count, 0) != totals.one_touch_count
        or channels_added.most_customer_count > totals.customer_count
    union all
    select
        'reasons' as place,
        totals.support_month
    from totals
    left join reasons_added on totals.support_month = reasons_added.contact_month
    where coalesce(reasons_added.ticket_count, 0) != totals.ticket_count
    union all
    select
        'products of a reason' as place,
        contact_month as support_month
    from reasons_of_products
    where reason_ticket_count != ticket_count
    union all
    select
        'agents' as place,
        coalesce(tickets_solved.solved_month, agents_added.solved_month) as support_month
    from tickets_solved
    full outer join agents_added on tickets_solved.solved_month = agents_added.solved_month
    where
        coalesce(tickets_solved.solved_count, 0)
        is distinct from coalesce(agents_added.solved_count, 0)
    union all
    select
        'parts' as place,
        support_month
    from totals
    where first_contact_resolved_count > first_contact_eligible_count
        or first_contact_eligible_count > solved_count
        or one_touch_count > one_touch_eligible_count
        or one_touch_eligible_count > solved_count
        or solved_count > ticket_count
        or customer_count + unidentified_ticket_count > ticket_count
        or repeat_customer_count > customer_count
)

select * from differences
