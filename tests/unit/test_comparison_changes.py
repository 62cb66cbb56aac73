"""What differs between two histories, recomputed person by person in plain Python; and how it is told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from rich.console import Console

from lifecycle.comparison.changes import Changes, Count, compare, stage_counts
from lifecycle.comparison.report import Column, Section, as_markdown, print_tables, tell_comparison
from lifecycle.comparison.versions import ChangedFile, ChangedValue, Comparison
from lifecycle.warehouse import Warehouse, open_duckdb

STAGES = ["awareness", "conversion", "at_risk", "lapsed", "a_stage_of_ones_own"]
START = datetime(2024, 1, 1)
DAYS = [(date(2024, 3, 31), datetime(2024, 4, 1, 4)), (date(2024, 6, 30), datetime(2024, 7, 1, 4))]
ZONE = ZoneInfo("America/New_York")

Interval = tuple[str, str, str, str, datetime, datetime | None]
"""Customer (or segment and customer), stage or segment, reason code, reason, from, to."""


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


def history(rng: random.Random, customer: str) -> list[Interval]:
    """Touching intervals of one stage after the other, some of them at midnight exactly; the last one is open."""
    if rng.random() < 0.05:
        return []
    moments = sorted({START + timedelta(hours=4, days=rng.randrange(200)) for _ in range(rng.randint(1, 5))})
    stages = [rng.choice(STAGES)]
    for _ in moments[1:]:
        stages.append(rng.choice([stage for stage in STAGES if stage != stages[-1]]))
    ends: list[datetime | None] = [*moments[1:], None]
    return [
        (customer, stage, f"rule_{stage}", f"reason {rng.randint(1, 3)}", begin, end)
        for stage, begin, end in zip(stages, moments, ends, strict=True)
    ]


def changed(rng: random.Random, before: list[Interval], customer: str) -> list[Interval]:
    """Half of the people stay as they were; the others get another history, or only another reason."""
    chance = rng.random()
    if chance < 0.5:
        return before
    if chance < 0.6:
        return [(*one[:3], "said otherwise", *one[4:]) for one in before]
    return history(rng, customer)


def memberships(histories: list[Interval], rng: random.Random) -> list[Interval]:
    """A segment of some of the people in a stage, as long as they are in it."""
    return [
        ("late_payers", *one[:1], "", one[3], *one[4:])
        for one in histories
        if one[1] in ("at_risk", "lapsed") and rng.random() < 0.7
    ]


def fill(warehouse: Warehouse, side: str, histories: list[Interval], segments: list[Interval]) -> None:
    kinds = [*["string"] * 4, *[pa.timestamp("us")] * 2]
    for table, rows, names in (
        (f"{side}_history", histories, "customer_id stage reason_code reason valid_from_at valid_to_at"),
        (f"{side}_segments", segments, "segment_name customer_id reason_code entry_reason valid_from_at valid_to_at"),
    ):
        columns = list(zip(*rows, strict=True)) or [()] * 6
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        warehouse.connection.register("incoming", pa.table(arrays, names=names.split()))
        warehouse.run(f"create table {table} as from incoming")
        warehouse.connection.unregister("incoming")


Side = tuple[list[Interval], list[Interval]]


@pytest.fixture(scope="module", params=[1, 2, 3])
def sides(request: pytest.FixtureRequest) -> tuple[Side, Side]:
    rng = seeded(request.param)
    people = [f"c_{number:03}" for number in range(120)]
    histories: tuple[list[Interval], list[Interval]] = ([], [])
    for person in people:
        before = history(rng, person)
        histories[0].extend(before)
        histories[1].extend(changed(rng, before, person))
    return (histories[0], memberships(histories[0], rng)), (histories[1], memberships(histories[1], rng))


@pytest.fixture(scope="module")
def warehouse(sides: tuple[Side, Side], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path_factory.mktemp("sides") / "comparison.duckdb") as opened:
        fill(opened, "before", *sides[0])
        fill(opened, "after", *sides[1])
        yield opened


def at(end: datetime, intervals: list[Interval]) -> dict[str, Interval]:
    """Whose interval holds at the end of a day, by customer (by segment and customer for memberships)."""
    return {one[0]: one for one in intervals if one[4] < end and (one[5] is None or one[5] >= end)}


def test_who_stands_where_is_what_one_finds_person_by_person(warehouse: Warehouse, sides: tuple[Side, Side]) -> None:
    changes = compare(warehouse, DAYS, examples=2, has_schemes=False)
    assert len(changes.days) == len(DAYS)
    for (day, end), found in zip(DAYS, changes.days, strict=True):
        before, after = at(end, sides[0][0]), at(end, sides[1][0])
        people = before.keys() | after.keys()
        pairs = Counter(
            (before[one][1] if one in before else None, after[one][1] if one in after else None) for one in people
        )
        assert (found.day, found.customer_count) == (day, len(people))
        assert {(flow.from_stage, flow.to_stage): flow.customer_count for flow in found.flows} == {
            pair: count for pair, count in pairs.items() if pair[0] != pair[1]
        }
        assert found.moved_count == sum(count for pair, count in pairs.items() if pair[0] != pair[1]) > 0
        sizes = [flow.customer_count for flow in found.flows]
        assert sizes == sorted(sizes, reverse=True)
        assert {one.name: (one.before, one.after) for one in found.stages} == {
            stage: (
                sum(count for pair, count in pairs.items() if pair[0] == stage),
                sum(count for pair, count in pairs.items() if pair[1] == stage),
            )
            for stage in {stage for pair in pairs for stage in pair if stage}
        }


def test_what_leaves_and_enters_a_stage_accounts_for_its_difference(warehouse: Warehouse) -> None:
    for day in compare(warehouse, DAYS, examples=0, has_schemes=False).days:
        for stage in day.stages:
            left = sum(flow.customer_count for flow in day.flows if flow.from_stage == stage.name)
            entered = sum(flow.customer_count for flow in day.flows if flow.to_stage == stage.name)
            assert stage.before - left + entered == stage.after
        for segment in day.segments:
            assert segment.before is not None and segment.after is not None
            assert segment.before - segment.lost + segment.gained == segment.after


def test_stages_are_shown_in_the_order_of_the_seed_and_unknown_ones_last(warehouse: Warehouse) -> None:
    day = compare(warehouse, DAYS, examples=0, has_schemes=False).days[0]
    assert [one.name for one in day.stages] == STAGES


def test_segments_are_compared_person_by_person_too(warehouse: Warehouse, sides: tuple[Side, Side]) -> None:
    for (_, end), day in zip(DAYS, compare(warehouse, DAYS, examples=2, has_schemes=False).days, strict=True):
        before, after = (
            {one[1]: one for one in segments if one[4] < end and (one[5] is None or one[5] >= end)}
            for _, segments in sides
        )
        [found] = day.segments
        assert (found.segment, found.before, found.after) == ("late_payers", len(before), len(after))
        assert found.gained == len(after.keys() - before.keys()) and found.lost == len(before.keys() - after.keys())
        stages = at(end, sides[0][0])
        for example, customer in zip(found.gained_examples, sorted(after.keys() - before.keys()), strict=False):
            assert example.customer_id == customer
            assert (example.after.place, example.after.reason) == ("late_payers", after[customer][3])
            assert example.after.since_at == after[customer][4]
            assert example.before.place == (stages[customer][1] if customer in stages else None)


def test_examples_are_the_lowest_ids_of_the_largest_flows(warehouse: Warehouse, sides: tuple[Side, Side]) -> None:
    end = DAYS[1][1]
    before, after = at(end, sides[0][0]), at(end, sides[1][0])
    day = compare(warehouse, DAYS, examples=2, has_schemes=False).days[1]
    assert any(flow.examples for flow in day.flows)
    for flow in day.flows[:5]:
        people = sorted(
            one
            for one in before.keys() | after.keys()
            if (before[one][1] if one in before else None, after[one][1] if one in after else None)
            == (flow.from_stage, flow.to_stage)
        )
        assert [example.customer_id for example in flow.examples] == people[:2]
        for example in flow.examples:
            if flow.from_stage is not None:
                _, stage, _, reason, since, _ = before[example.customer_id]
                assert example.before == type(example.before)(stage, reason, since)
    assert all(not flow.examples for flow in day.flows[5:])


def test_the_history_as_a_whole_tells_other_stages_from_other_words(
    warehouse: Warehouse, sides: tuple[Side, Side]
) -> None:
    found = compare(warehouse, DAYS, examples=0, has_schemes=False).history
    told: dict[str, list[list[Interval]]] = {}
    for number, (intervals, _) in enumerate(sides):
        for one in intervals:
            told.setdefault(one[0], [[], []])[number].append(one)
    other_stages = {
        person
        for person, (before, after) in told.items()
        if [(one[1], *one[4:]) for one in before] != [(one[1], *one[4:]) for one in after]
    }
    other_words = {person for person, (before, after) in told.items() if before != after} - other_stages
    assert (found.customer_count, found.changed_count, found.reworded_count) == (
        len(told),
        len(other_stages),
        len(other_words),
    )
    assert other_stages and other_words
    end = DAYS[1][1]
    for number, (intervals, _) in enumerate(sides):
        first = {one[0]: one[4] for one in reversed(intervals)}
        moves = Counter(
            one[1] for one in intervals if one[4] > first[one[0]] and end - timedelta(days=90) <= one[4] < end
        )
        assert {one.name: (one.before, one.after)[number] for one in found.entries} == {
            stage: moves[stage] for stage in {one.name for one in found.entries}
        }


def test_two_days_may_be_counted_beside_each_other(warehouse: Warehouse, sides: tuple[Side, Side]) -> None:
    found = stage_counts(warehouse, DAYS[0][1], DAYS[1][1])
    before = Counter(one[1] for one in at(DAYS[0][1], sides[0][0]).values())
    after = Counter(one[1] for one in at(DAYS[1][1], sides[1][0]).values())
    assert {one.name: (one.before, one.after) for one in found} == {
        stage: (before[stage], after[stage]) for stage in before.keys() | after.keys()
    }


def test_equal_histories_have_no_differences(tmp_path: Path) -> None:
    rng = seeded(7)
    intervals = [one for number in range(30) for one in history(rng, f"c_{number}")]
    with open_duckdb(tmp_path / "comparison.duckdb") as warehouse:
        fill(warehouse, "before", intervals, memberships(intervals, seeded(1)))
        fill(warehouse, "after", intervals, memberships(intervals, seeded(1)))
        changes = compare(warehouse, DAYS, examples=3, has_schemes=False)
    assert changes.is_none
    assert changes.history.changed_count == changes.history.reworded_count == 0
    assert "everybody stands where they stood" in as_markdown(tell_comparison(comparison_of(changes), ZONE))


def test_schemes_are_new_gone_changed_or_not_worth_a_word(tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "comparison.duckdb") as warehouse:
        fill(warehouse, "before", [], [])
        fill(warehouse, "after", [], [])
        for side, rows in (
            (
                "before",
                "('same', 'c1', 'lead', 1), ('old', 'c1', 'lead', 1), ('moved', 'c1', 'won', 1),"
                " ('moved', 'c2', 'ex', 2), ('lifecycle', 'c1', 'awareness', 1)",
            ),
            (
                "after",
                "('same', 'c1', 'lead', 1), ('fresh', 'c1', 'won', 1), ('fresh', 'c2', 'won', 1),"
                " ('moved', 'c1', 'ex', 2), ('moved', 'c2', 'ex', 2), ('lifecycle', 'c1', 'loyalty', 9)",
            ),
        ):
            warehouse.run(
                f"create table {side}_schemes as from (values {rows}) as rows(scheme, customer_id, stage, stage_order)"
            )
        changes = compare(warehouse, DAYS, examples=0, has_schemes=True)
    schemes = changes.schemes
    assert schemes is not None
    assert [(one.scheme, one.kind, one.moved_count) for one in schemes] == [
        ("fresh", "new", 2),
        ("moved", "changed", 1),
        ("old", "gone", 1),
    ]
    # In the scheme's own order; the stages themselves are told elsewhere, and not as a scheme once more.
    assert schemes[1].stages == (Count("won", 1, 0), Count("ex", 1, 2))
    said = as_markdown(tell_comparison(comparison_of(changes), ZONE))
    assert "Scheme fresh (new) at the end of 2024-06-30\n\n2 people stand in it." in said
    assert "Scheme moved at the end of 2024-06-30\n\n1 person stands elsewhere." in said
    assert "Scheme old (gone) at the end of 2024-06-30\n\n1 person stood in it." in said


# --- telling it ------------------------------------------------------------------------------------------------------


def comparison_of(changes: Changes | None) -> Comparison:
    return Comparison(
        project="shop",
        before="main (0123abcde)",
        after="the working tree",
        as_of=date(2024, 6, 30),
        files=(ChangedFile("seeds/logo.csv", None, None), ChangedFile("models/a.sql", 3, 1)),
        settings=(ChangedValue("lifecycle.active_days", "45", "60"),),
        rules=(ChangedValue("rule old", "paid_count = 0", None),),
        notes=("Both versions read lifecycle.yml as it is now: it lies outside the repository.",),
        changes=changes,
    )


def as_tables(sections: list[Section]) -> str:
    console = Console(width=100, highlight=False)
    with console.capture() as captured:
        print_tables(sections, console, 100)
    return captured.get()


def test_both_formats_say_the_same(warehouse: Warehouse) -> None:
    changes = compare(warehouse, DAYS, examples=1, has_schemes=False)
    sections = tell_comparison(comparison_of(changes), ZONE)
    table, markdown = as_tables(sections), as_markdown(sections)
    day = changes.days[1]
    for said in (
        "shop: the working tree against main (0123abcde)",
        "lifecycle.active_days",
        "models/a.sql",
        "+3 −1",
        "binary",
        f"At the end of 2024-06-30 {day.moved_count} people of {day.customer_count}",
        "Stages at the end of 2024-06-30",
        "late_payers",
        day.flows[0].examples[0].customer_id,
    ):
        assert said in table and said in markdown, said
    assert "not known yet" in table and "not known yet" in markdown
    flow = day.flows[0]
    assert f"| {flow.from_stage or 'not known yet'} | {flow.to_stage or 'not known yet'} | {flow.customer_count} |" in (
        markdown
    )


def test_every_table_of_the_markdown_has_as_many_cells_in_every_line(warehouse: Warehouse) -> None:
    markdown = as_markdown(
        tell_comparison(comparison_of(compare(warehouse, DAYS, examples=2, has_schemes=False)), ZONE)
    )
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    assert len(tables) > 5
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) <= set("|-: ")


def test_data_is_no_markup_and_calls_nobody() -> None:
    nasty = "a|b *c* [d](e) <img> @somebody `x` \x1b[31m _y_ snake_case\nnext"
    section = Section("T", columns=(Column("what"),), rows=((nasty,),))
    line = as_markdown([section]).splitlines()[-1]
    assert line.count("|") - line.count("\\|") == 2
    assert "\\*c\\*" in line and "\\[d\\]" in line and "\\<img\\>" in line and "\\_y\\_" in line
    assert "snake_case" in line and "@somebody" not in line and "\x1b" not in line
    assert "\x1b[31m" not in as_tables([section])


def test_the_same_code_and_settings_need_no_build_to_be_told() -> None:
    assert "Nothing that decides differs" in as_tables(tell_comparison(comparison_of(None), ZONE))


def test_since_is_a_day_of_the_reporting_zone(tmp_path: Path) -> None:
    moment = datetime(2024, 3, 10, 2)  # Still the 9th in New York.
    with open_duckdb(tmp_path / "comparison.duckdb") as warehouse:
        fill(warehouse, "before", [("c1", "awareness", "seen", "seen", moment, None)], [])
        fill(warehouse, "after", [("c1", "lapsed", "overdue", "late", moment, None)], [])
        changes = compare(warehouse, DAYS[:1], examples=1, has_schemes=False)
    assert "lapsed: late, since 2024-03-09" in as_markdown(tell_comparison(comparison_of(changes), ZONE))
