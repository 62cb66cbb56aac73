"""Limits of a plan, at and beyond their edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from lifecycle.errors import GateStoppedError
from lifecycle.publishing.guards import demand, refusals
from lifecycle.publishing.plan import Plan
from lifecycle.settings import Guards


def plan_of(*, added: int = 0, removed: int = 0, withdrawn: int = 0, **changes: Any) -> Plan:
    """A plan for a list of 100."""
    plan = Plan(
        plan_id="lapsed_to_drop-0123456789ab",
        kind="full",
        sync_name="lapsed_to_drop",
        segment_name="lapsed",
        destination_name="drop",
        run_id="run-1",
        as_of=date(2024, 3, 31),
        published_at=datetime(2024, 4, 1),
        created_at=datetime(2024, 4, 1),
        digest="0123456789abcdef",
        encoder="files.v1",
        settings_digest="0",
        delivered_encoder="files.v1",
        delivered_count=100,
        segment_count=100,
        taken_off={},
        desired_count=100,
        unchanged_count=100,
        reasons={
            ("add", "entered"): added,
            ("remove", "left_segment"): removed,
            ("remove", "consent_withdrawn"): withdrawn,
        },
        is_first=False,
    )
    return replace(plan, **changes)


@pytest.mark.parametrize(
    ("changes", "guards", "refused"),
    [
        ({"removed": 20}, Guards(max_remove=0.2), None),
        ({"removed": 21}, Guards(max_remove=0.2), "removes 21, 21% of 100; max_remove is 20%"),
        ({"added": 50}, Guards(max_add=0.5), None),
        ({"added": 51}, Guards(max_add=0.5), "adds 51, 51% of 100; max_add is 50%"),
        ({"removed": 1}, Guards(max_remove=0), "removes 1, 1% of 100; max_remove is 0%"),
        ({"desired_count": 4}, Guards(min_size=5), "would hold 4, min_size is 5"),
        ({"desired_count": 5}, Guards(min_size=5), None),
        ({"segment_count": 0, "desired_count": 0}, Guards(min_size=0), "the segment is empty, the list holds 100"),
        ({"delivered_encoder": "files.v0"}, Guards(), "encoder files.v0 and would be written by files.v1"),
        ({"delivered_count": 0, "added": 9}, Guards(), "adds 9, an empty list of 0"),
        ({"delivered_count": 0, "added": 9, "is_first": True}, Guards(max_add=0), None),
        ({"delivered_count": 0, "segment_count": 0, "desired_count": 0}, Guards(min_size=0), None),
    ],
)
def test_a_limit_refuses_beyond_it_and_not_at_it(changes: dict[str, Any], guards: Guards, refused: str | None) -> None:
    found = refusals(plan_of(**changes), guards)
    if refused is None:
        assert found == []
    else:
        assert len(found) == 1
        assert refused in found[0]


def test_withdrawals_are_neither_counted_nor_held_back() -> None:
    assert refusals(plan_of(removed=20, withdrawn=70), Guards(max_remove=0.2)) == []


def test_every_broken_limit_is_named_at_once() -> None:
    plan = plan_of(added=90, removed=90)
    stopped = replace(plan, refusals=tuple(refusals(plan, Guards())))
    with pytest.raises(GateStoppedError, match=r"adds 90.*removes 90") as error:
        demand(stopped)
    assert "lifecycle publish approve lapsed_to_drop-0123456789ab --reason" in str(error.value)
    demand(replace(stopped, is_approved=True))
