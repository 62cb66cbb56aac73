"""Subscribers of a streaming service: trials, plans, payments, leaving, coming back, and viewing less before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.synthetic.company import generate
from lifecycle.synthetic.parameters import PROFILES, Arguments
from lifecycle.synthetic.subscriptions import KINDS
from lifecycle.warehouse import Warehouse, open_duckdb

MODEL = PROFILES["streaming"].subscription


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder: Path = tmp_path_factory.mktemp("service")
    generate(Arguments(customers=6_000, days=540, seed=2, profile="streaming", out=folder))
    with open_duckdb(tmp_path_factory.mktemp("questions") / "q.duckdb") as warehouse:
        for name, source in (
            ("events", f"read_csv('{folder}/files/billing/events.csv')"),
            ("subscriptions", f"read_csv('{folder}/files/billing/subscriptions.csv', all_varchar = true)"),
            ("invoices", f"read_csv('{folder}/files/billing/invoices.csv')"),
            ("uses", f"read_parquet('{folder}/files/app/events_*.parquet')"),
            ("tickets", f"read_json('{folder}/files/support/tickets.jsonl', format = 'newline_delimited')"),
            ("records", f"'{folder}/truth/records.parquet'"),
            ("stages", f"'{folder}/truth/stages.parquet'"),
        ):
            warehouse.create_as(f"main.{name}", f"select * from {source}")
        yield warehouse


def test_everything_that_can_happen_to_a_subscription_happens(service: Warehouse) -> None:
    counts = dict(service.rows("select event_kind, count(*) from events group by all"))
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 10


def test_as_many_trials_are_continued_as_the_profile_says(service: Warehouse) -> None:
    trials, continued = service.rows(
        "select count(*), count(*) filter (subscription_id in (select subscription_id from events"
        " where event_kind = 'started')) from events where event_kind = 'trial_started'"
        " and occurred_at < timestamp '2025-12-31' - interval 31 day"
    )[0]
    assert trials > 1000
    assert continued / trials == pytest.approx(MODEL.trial_conversion, abs=0.04)


def test_events_of_a_subscription_come_in_an_order_that_makes_sense(service: Warehouse) -> None:
    first = dict(
        service.rows(
            "select event_kind, count(*) from (select *, row_number() over (partition by subscription_id"
            " order by occurred_at, subscription_event_id) as place from events) where place = 1 group by all"
        )
    )
    # Whoever comes back gets no second trial.
    assert set(first) == {"trial_started", "started"}
    assert (
        service.scalar(
            "select count(*) from events later join events ended using (subscription_id)"
            " where ended.event_kind = 'ended' and later.occurred_at > ended.occurred_at"
        )
        == 0
    )
    assert (
        service.scalar(
            "select count(*) from (select subscription_id from events where event_kind = 'ended'"
            " group by subscription_id having count(*) > 1)"
        )
        == 0
    )


def test_every_payment_has_its_invoice(service: Warehouse) -> None:
    payments = "('started', 'renewed', 'payment_recovered')"
    paid, invoiced = service.rows(
        f"select (select count(*) from events where event_kind in {payments}), (select count(*) from invoices)"
    )[0]
    assert paid == invoiced > 1000
    assert service.scalar("select count(*) from invoices anti join subscriptions using (subscription_id)") == 0


def test_viewing_halves_before_a_subscription_ends(service: Warehouse) -> None:
    before, fading = service.rows(
        "with ends as (select person_id, events.occurred_at as ended_at, started.started_at from events"
        " join records on record_table = 'subscriptions' and record_id = subscription_id"
        " join (select subscription_id, min(occurred_at) as started_at from events group by all) started"
        " using (subscription_id) where event_kind = 'ended'"
        " and events.occurred_at > started.started_at + interval 150 day),"
        " viewed as (select person_id, timestamp from uses join records on source_system = 'app'"
        " and record_table = 'touchpoints' and record_id = touchpoint_id where feature_name is not null)"
        " select count(*) filter (timestamp between ended_at - interval 112 day and ended_at - interval 56 day),"
        " count(*) filter (timestamp > ended_at - interval 56 day and timestamp < ended_at)"
        " from ends join viewed using (person_id)"
    )[0]
    assert before > 500
    assert fading / before == pytest.approx(0.5, abs=0.1)


def test_subscribers_write_more_before_their_subscription_ends(service: Warehouse) -> None:
    before, leaving = service.rows(
        "with ends as (select person_id, events.occurred_at as ended_at from events"
        " join records on record_table = 'subscriptions' and record_id = subscription_id"
        " join (select subscription_id, min(occurred_at) as started_at from events group by all) started"
        " using (subscription_id) where event_kind = 'ended'"
        " and events.occurred_at > started.started_at + interval 120 day),"
        " opened as (select person_id, opened_at from tickets join records on record_table = 'tickets'"
        " and record_id = cast(ticket_id as varchar))"
        " select count(*) filter (opened_at between ended_at - interval 90 day and ended_at - interval 45 day),"
        " count(*) filter (opened_at between ended_at - interval 45 day and ended_at)"
        " from ends join opened using (person_id)"
    )[0]
    assert leaving > 20
    assert leaving > 2 * before


def test_the_truth_follows_subscribers_through_trial_leaving_and_return(service: Warehouse) -> None:
    states = dict(service.rows("select state, count(*) from stages group by all"))
    assert set(states) == {"prospect", "trial", "active", "leaving", "gone", "returned"}
    overlapping = service.scalar(
        "select count(*) from (select to_at, lead(from_at) over (partition by person_id order by from_at) as next_from"
        " from stages) where to_at is distinct from next_from"
    )
    assert overlapping == 0


def test_onboarding_loses_people_step_by_step(service: Warehouse) -> None:
    steps = dict(service.rows("select step, count(*) from uses where event = 'onboarding_step' group by all"))
    assert list(dict(sorted(steps.items(), key=lambda item: -item[1]))) == [
        "profile",
        "first_project",
        "invite",
        "integration",
    ]
