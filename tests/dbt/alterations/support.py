"""Experience and support."""

from __future__ import annotations

from tests.dbt.alterations import Alterations

RECORDS = ""

ANSWERS, TREND = "intermediate.int_survey_answers", "marts.satisfaction_trend_monthly"
EXPERIENCE, ADVOCACY = "marts.experience_monthly", "marts.advocacy_monthly"
CONTACTS, HOURS = "intermediate.int_support_contacts", "marts.contact_volume_hourly"
HELP_SESSIONS, DEFLECTION = "intermediate.int_help_sessions", "marts.deflection_monthly"
ANSWER = (
    f"insert into {ANSWERS} (event_id, respondent_key, survey_kind, survey_basis, is_scored, score_points,"
    " responded_at, responded_month)"
    " values ('e1', 'ada', 'nps', 'relational', true, 100, '2023-06-01 10:00', '2023-06-01')"
)
COUNTED_ANSWER = (
    f"insert into {EXPERIENCE} (experience_month, survey_kind, survey_basis, response_count, respondent_count,"
    " unidentified_response_count, scored_count, promoter_count, passive_count, detractor_count, answered_count)"
    " values ('2023-06-01', 'nps', 'relational', 1, 1, 0, 1, 1, 0, 0, 1)"
)

# Surveys, support and advocacy.
ALTERATIONS: Alterations = {
    "assert_support_counts_every_ticket": [
        ("delete from intermediate.int_tickets", ""),
        ("update marts.support_total_monthly set customer_count = customer_count + 1", ""),
        ("update marts.support_monthly set ticket_count = ticket_count + 1", ""),
        ("delete from marts.support_monthly", ""),
        ("update marts.contact_reasons_monthly set ticket_count = ticket_count + 1", ""),
        ("update marts.contact_reasons_monthly set reason_ticket_count = reason_ticket_count + 1", ""),
        (
            "insert into marts.support_agents_monthly (solved_month, id_namespace, agent_id, solved_count)"
            " values ('2023-02-01', 'shop', 'kim', 1)",
            "",
        ),
        ("update marts.support_total_monthly set one_touch_eligible_count = solved_count + 1", ""),
        ("update marts.support_total_monthly set repeat_customer_count = 99", ""),
    ],
    "assert_experience_counts_every_answer": [
        (ANSWER, ""),
        (COUNTED_ANSWER, ""),
        (f"{ANSWER};{COUNTED_ANSWER};update {EXPERIENCE} set promoter_count = 2", ""),
        (f"{ANSWER};{COUNTED_ANSWER};update {EXPERIENCE} set sent_count = 0", ""),
        (f"{ANSWER};{COUNTED_ANSWER};update {EXPERIENCE} set nps_low = 1, nps_high = 0", ""),
    ],
    "assert_satisfaction_trend_ends_with_the_day": [
        (ANSWER, ""),
        (
            f"insert into {TREND} (trend_month, survey_kind, survey_basis, answer_count, score_change, change_low,"
            " change_high, is_significant) values ('2023-05-01', 'nps', 'relational', 9, 5, 1, 9, false)",
            "",
        ),
    ],
    "assert_help_sessions_have_one_outcome": [
        (f"insert into {HELP_SESSIONS} (started_month, session_kind) values ('2023-06-01', 'bot')", ""),
        (
            f"insert into {HELP_SESSIONS} (started_month, session_kind) values ('2023-06-01', 'bot');"
            f"insert into {DEFLECTION} values ('2023-06-01', 'bot', false, 1, 1, 1, 0, 0, 1)",
            "",
        ),
    ],
    "assert_contact_volume_has_every_hour": [
        (f"insert into {CONTACTS} values ('e1', 'chat', 'chat', '2023-06-10 10:00')", ""),
        (
            f"insert into {CONTACTS} values ('e1', 'chat', 'chat', '2023-06-10 10:00');"
            f"insert into {HOURS} values ('chat', 'chat', 6, 10, 1, 12, 0.1, 1, '2023-03-19', '2023-06-10')",
            "",
        ),
    ],
    "assert_advocacy_counts_every_review": [
        (f"update {ADVOCACY} set rating_5_count = 1 where advocacy_month = '2023-05-01'", ""),
        (f"update {ADVOCACY} set share_count = 1 where advocacy_month = '2023-05-01'", ""),
        ("insert into raw.reviews (review_id, reviewed_at, rating) values ('v1', '2023-05-01', 5)", ""),
        ("insert into raw.reviews (review_id, reviewed_at, rating) values ('v1', '2013-05-01', 5)", ""),
    ],
}
