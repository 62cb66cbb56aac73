-- Grain: one row per agent and month in which they last solved a case or are rated for one.
-- A rating of a case counts in the month of its solution, with the agent it names, else with that of the case.

with

tickets as (select * from {{ ref('int_tickets') }} where is_counted),

answers as (
    select * from {{ ref('int_survey_answers') }} where survey_kind = 'csat' and is_scored
),

months as (select * from {{ ref('int_months') }}),

tickets_solved as (
    select
        id_namespace,
        agent_id,
        solved_month,
        cast(count(*) as bigint) as solved_count,
        cast(count(case when is_reopened then 1 end) as bigint) as reopened_count,
        cast(count(first_reply_minutes) as bigint) as replied_count,
        cast(median(first_reply_minutes) as double) as median_first_reply_minutes,
        cast(percentile_cont(0.9) within group (order by first_reply_minutes) as double)
            as p90_first_reply_minutes,
        cast(median(resolution_minutes) as double) as median_resolution_minutes,
        cast(percentile_cont(0.9) within group (order by resolution_minutes) as double)
            as p90_resolution_minutes
    from tickets
    where agent_id is not null and solved_month is not null
    group by id_namespace, agent_id, solved_month
),

-- Two systems that share a namespace know one ticket.
tickets_named as (
    select
        id_namespace,
        ticket_id,
        max(agent_id) as agent_id,
        max(solved_month) as solved_month
    from tickets
    group by id_namespace, ticket_id
),

answers_placed as (
    select
        answers.id_namespace,
        coalesce(answers.agent_id, tickets_named.agent_id) as agent_id,
        coalesce(tickets_named.solved_month, answers.responded_month) as solved_month,
        answers.score_points
    from answers
    left join tickets_named
        on answers.id_namespace = tickets_named.id_namespace
        and answers.ticket_id = tickets_named.ticket_id
),

answers_counted as (
    select
        id_namespace,
        agent_id,
        solved_month,
        cast(count(*) as bigint) as csat_response_count,
        cast(count(case when score_points = 1 then 1 end) as bigint) as satisfied_count
    from answers_placed
    where agent_id is not null
    group by id_namespace, agent_id, solved_month
),

agents as (
    select
        id_namespace,
        agent_id,
        solved_month
    from tickets_solved
    union
    select
        id_namespace,
        agent_id,
        solved_month
    from answers_counted
),

published as (
    select
        -- keys
        agents.solved_month,
        agents.id_namespace,
        agents.agent_id,
        -- facts
        coalesce(months.is_complete, true) as is_complete,
        coalesce(tickets_solved.solved_count, 0) as solved_count,
        coalesce(tickets_solved.reopened_count, 0) as reopened_count,
        cast(tickets_solved.reopened_count as double)
        / nullif(tickets_solved.solved_count, 0) as reopen_rate,
        coalesce(answers_counted.csat_response_count, 0) as csat_response_count,
        coalesce(answers_counted.satisfied_count, 0) as satisfied_count,
        cast(answers_counted.satisfied_count as double)
        / nullif(answers_counted.csat_response_count, 0) as csat_rate,
        coalesce(tickets_solved.replied_count, 0) as replied_count,
        tickets_solved.median_first_reply_minutes,
        tickets_solved.p90_first_reply_minutes,
        tickets_solved.median_resolution_minutes,
        tickets_solved.p90_resolution_minutes
    from agents
    left join months on agents.solved_month = months.month
    left join tickets_solved
        on agents.id_namespace = tickets_solved.id_namespace
        and agents.agent_id = tickets_solved.agent_id
        and agents.solved_month = tickets_solved.solved_month
    left join answers_counted
        on agents.id_namespace = answers_counted.id_namespace
        and agents.agent_id = answers_counted.agent_id
        and agents.solved_month = answers_counted.solved_month
)

select * from published
