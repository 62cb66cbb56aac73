"""`lifecycle diff`: two versions of the rules on one company, two publications of one, and what it says when it cannot.

The project of these tests is a git repository of their own with a copy of the code, so that versions can be committed
and changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lifecycle import cli
from lifecycle.comparison import variant, versions
from lifecycle.comparison.publications import compare_publications
from lifecycle.comparison.report import as_markdown, tell_comparison, tell_rewriting
from lifecycle.comparison.variant import build_variant, copy_inputs
from lifecycle.comparison.versions import ChangedFile, Comparison, compare_with_ref
from lifecycle.errors import LifecycleError, LockedError
from lifecycle.serving.publication import build_publication
from lifecycle.settings import PROJECT_DIR, Settings, load_settings
from lifecycle.warehouse import Warehouse, attached, open_duckdb
from orchestration.execution import execute
from tests.integration.small_build import CANARIES, NOW, build, opened, settings_of
from tests.integration.small_publication import _values
from tests.orchestration.conftest import LAST_DAY, Shop
from tests.unit.test_state import another_process_holds

SEGMENT = """-- Grain: one row per customer per interval of membership.

with

{{ segment_intervals(
    segment_name='dear',
    condition="stage = 'loyalty'",
    entry_sentence='bought for {whole:net_revenue_amount}'
) }}

select * from memberships
"""


class Repository:
    """A git repository with the code and a company in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        left_out = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml")
        for part in versions.PARTS:
            shutil.copytree(PROJECT_DIR / part, root / part, ignore=left_out)
        (root / ".gitignore").write_text("__pycache__/\n.lifecycle/\nin/\nout/\n")
        self.shop = Shop(root / "company")
        self.settings = self.shop.settings()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.email", "tests@example.com")
        self.git("config", "user.name", "Tests")
        entry = root / "lifecycle" / "comparison" / "variant.py"
        text = entry.read_text()
        entry.unlink()
        self.commit("before comparisons")
        self.git("tag", "ancient")
        entry.write_text(text)
        config = self.shop.config.read_text()
        self.shop.config.write_text(config + "no_such_setting: 1\n")
        self.commit("a settings file that no version can read")
        self.git("tag", "broken")
        self.shop.config.write_text(config)
        self.commit("a version")

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.root), *arguments], capture_output=True, text=True, check=True
        ).stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def change(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, (path, old, text.count(old))
        file.write_text(text.replace(old, new))

    def load(self) -> Settings:
        return load_settings(self.shop.config)

    def left_behind(self) -> list[str]:
        """What a comparison must not leave: scratch folders and working trees that git knows."""
        scratch = self.settings.state.root / "scratch"
        found = [str(path) for path in scratch.iterdir()] if scratch.exists() else []
        return found + self.git("worktree", "list", "--porcelain").split("\n\n")[1:-1]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The company, run once by the version of HEAD."""
    made = Repository(tmp_path_factory.mktemp("repository"))
    assert execute(made.settings).exit_code == 0
    return made


@pytest.fixture
def here(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """The repository as the project; what a test changes in it is put back."""
    monkeypatch.setattr(versions, "PROJECT_DIR", repository.root)
    yield repository
    repository.git("checkout", "--quiet", "--", ".")
    repository.git("clean", "--quiet", "--force", "-d")
    assert repository.left_behind() == []


@pytest.fixture(scope="module")
def compared(repository: Repository) -> Iterator[tuple[Comparison, dict[str, str]]]:
    """A lower threshold, a rule that came in, one that is worded otherwise and a new segment, against HEAD."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(versions, "PROJECT_DIR", repository.root)
        config = repository.shop.config
        config.write_text(config.read_text().replace("default_order_gap_days: 20", "default_order_gap_days: 60"))
        rules = repository.root / "dbt_project" / "dbt_project.yml"
        before_it, signals, after_it = rules.read_text().partition("    - precedence: 9\n      id: signals\n")
        assert signals
        later = re.sub(r"- precedence: (\d+)", lambda rule: f"- precedence: {int(rule[1]) + 1}", signals + after_it)
        rules.write_text(
            before_it
            + "    - precedence: 9\n      id: big\n      stage: loyalty\n"
            + "      condition: net_revenue_amount >= high_value_amount\n"
            + "      sentence: bought for {whole:net_revenue_amount}\n      evidence: last_paid_at\n"
            + later
        )
        repository.change(
            "dbt_project/dbt_project.yml",
            "sentence: one purchase kept so far, delivered or first used {before:first_activated_at}",
            "sentence: one purchase has arrived",
        )
        folder = repository.root / "models" / "segments"
        (folder / "seg_dear.sql").write_text(SEGMENT)
        described = yaml.safe_load((folder / "_segments.yml").read_text())
        model = next(one for one in described["models"] if one["name"] == "seg_lapsed")
        (folder / "_dear.yml").write_text(yaml.safe_dump({"version": 2, "models": [model | {"name": "seg_dear"}]}))
        repository.change(
            "models/segments/segment_history.sql",
            "memberships_unioned as (\n",
            "dear as (select * from {{ ref('seg_dear') }}),\n\nmemberships_unioned as (\n"
            "    select * from dear\n    union all\n",
        )
        before = {
            "warehouse": digest(repository.settings.state.warehouse),
            "status": repository.git("status", "--porcelain"),
        }
        comparison = compare_with_ref(
            repository.load(), "HEAD", days=[LAST_DAY, LAST_DAY - timedelta(days=60)], examples=2
        )
        before["left"] = "".join(repository.left_behind())
        after = {
            "warehouse": digest(repository.settings.state.warehouse),
            "status": repository.git("status", "--porcelain"),
            "left": "",
        }
        assert before == after
        repository.git("checkout", "--quiet", "--", ".")
        repository.git("clean", "--quiet", "--force", "-d")
        yield comparison, before


# --- two versions ----------------------------------------------------------------------------------------------------


def test_a_changed_threshold_and_rule_are_told_by_whom_they_move(compared: tuple[Comparison, dict[str, str]]) -> None:
    comparison, _ = compared
    assert comparison.changes is not None
    assert comparison.as_of == LAST_DAY and comparison.notes == ()
    assert {(one.name, one.before, one.after) for one in comparison.settings} == {
        ("lifecycle.default_order_gap_days", "20", "60")
    }
    assert [(one.name, one.before, one.after) for one in comparison.rules] == [
        ("rule big", None, "net_revenue_amount >= high_value_amount"),
        (
            "rule activated, sentence",
            "one purchase kept so far, delivered or first used {before:first_activated_at}",
            "one purchase has arrived",
        ),
    ]
    assert {file.path for file in comparison.files} == {
        "company/lifecycle.yml",
        "dbt_project/dbt_project.yml",
        "models/segments/_dear.yml",
        "models/segments/seg_dear.sql",
        "models/segments/segment_history.sql",
    }
    day = comparison.changes.days[-1]
    assert day.day == LAST_DAY and day.customer_count == 40
    flows = {(flow.from_stage, flow.to_stage): flow for flow in day.flows}
    # The eight late and dear customers of tests/orchestration/conftest.py: with a longer rhythm nobody is late.
    assert flows["at_risk", "loyalty"].customer_count == 8
    example = flows["at_risk", "loyalty"].examples[0]
    assert "expected after" in str(example.before.reason) and "bought for" in str(example.after.reason)
    for stage in day.stages:
        left = sum(flow.customer_count for flow in day.flows if flow.from_stage == stage.name)
        entered = sum(flow.customer_count for flow in day.flows if flow.to_stage == stage.name)
        assert stage.before - left + entered == stage.after
    segments = {one.segment: one for one in day.segments}
    assert segments["high_value_at_risk"].before == 8 and segments["high_value_at_risk"].lost == 8
    loyal = next(stage.after for stage in day.stages if stage.name == "loyalty")
    assert (segments["dear"].before, segments["dear"].after, segments["dear"].gained) == (None, loyal, loyal)
    assert comparison.changes.history.changed_count >= day.moved_count


def test_the_report_names_customers_by_their_id_alone(
    compared: tuple[Comparison, dict[str, str]], repository: Repository
) -> None:
    markdown = as_markdown(tell_comparison(compared[0], repository.settings.zone))
    assert "company: " not in markdown and "corner_shop: the working tree against HEAD (" in markdown
    assert "c_" in markdown and "@" not in markdown
    assert "at_risk → loyalty" in markdown


def test_a_variant_of_the_same_rules_is_the_warehouse_and_one_of_other_thresholds_is_not(
    repository: Repository, tmp_path: Path
) -> None:
    settings = repository.settings
    inputs = copy_inputs(settings, tmp_path / "inputs")
    assert inputs.as_of == LAST_DAY
    with open_duckdb(inputs.database) as copied:
        # Loaded by a version whose contract knew neither the table nor the column.
        copied.run("drop table raw.reviews")
        copied.run("alter table raw.contacts drop column persona")
        copied.run("alter table raw.orders add column of_a_later_contract varchar")
    same = build_variant(settings, tmp_path / "same", inputs=inputs, as_of=inputs.as_of)
    slower = settings.lifecycle.model_copy(update={"default_order_gap_days": 60.0})
    other = build_variant(settings, tmp_path / "other", inputs=inputs, as_of=inputs.as_of, thresholds=slower)
    with (
        open_duckdb(same, read_only=True) as warehouse,
        attached(warehouse, other, "other"),
        attached(warehouse, settings.state.warehouse, "built"),
    ):
        for table in ("marts.customer_lifecycle_history", "segments.segment_history"):
            assert differing(warehouse, table, f"built.{table}") == 0
            assert warehouse.scalar(f"select count(*) from {table}") > 0
            assert differing(warehouse, table, f"other.{table}") > 0


def differing(warehouse: Warehouse, one: str, other: str) -> int:
    return int(
        warehouse.scalar(
            f"select count(*) from ((from {one} except all from {other})"
            f" union all (from {other} except all from {one}))"
        )
    )


def test_without_a_change_nothing_is_built(here: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "copy_inputs", lambda *_: pytest.fail("it was about to build"))
    (here.root / "README.md").write_text("words decide nothing")
    comparison = compare_with_ref(here.load(), "HEAD", days=[], examples=3)
    assert comparison.changes is None and comparison.files == ()


@pytest.mark.parametrize("path", ["models/marts/new.sql", "company/lifecycle.yml", "seeds/channels.csv"])
def test_whatever_decides_is_reason_to_build(here: Repository, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "copy_inputs", stop)
    with (here.root / path).open("a") as file:
        file.write("# changed\n")
    with pytest.raises(LifecycleError, match="about to build"):
        compare_with_ref(here.load(), "HEAD", days=[], examples=3)


def stop(*_: object) -> None:
    raise LifecycleError("it was about to build")


def test_a_project_in_a_folder_of_a_larger_repository_looks_at_that_folder(tmp_path: Path) -> None:
    for path in ("project/seeds/a.csv", "project/seeds/gone.csv", "seeds/of_others.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("a\nb\n")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        author = ["-c", "user.name=Tests", "-c", "user.email=tests@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *author, *command], check=True)
    (tmp_path / "project/seeds/a.csv").write_text("a\nc\nd\n")
    (tmp_path / "project/seeds/gone.csv").unlink()
    (tmp_path / "project/seeds/new.csv").write_text("a\n")
    (tmp_path / "seeds/of_others.csv").write_text("x\n")
    repository = versions._Repository.of(tmp_path / "project")
    assert repository.changed_files(repository.commit("HEAD"), versions.PARTS) == [
        ChangedFile("project/seeds/a.csv", 2, 1),
        ChangedFile("project/seeds/gone.csv", 0, 2),
        ChangedFile("project/seeds/new.csv", 1, 0),
    ]


def test_settings_outside_the_repository_are_the_same_for_both_and_that_is_said(
    here: Repository, tmp_path: Path
) -> None:
    config = tmp_path / "lifecycle.yml"
    config.write_text(here.shop.config.read_text())
    comparison = compare_with_ref(load_settings(config), "HEAD", days=[], examples=3)
    assert comparison.notes == ("Both versions read lifecycle.yml as it is now: it lies outside the repository.",)


def test_settings_that_the_other_version_does_not_have_are_the_same_for_both(here: Repository) -> None:
    config = here.root / "company" / "new.yml"
    config.write_text(here.shop.config.read_text())
    comparison = compare_with_ref(load_settings(config), "HEAD", days=[], examples=3)
    assert comparison.notes == ("Both versions read new.yml as it is now: HEAD does not have it.",)


def test_a_version_that_cannot_be_built_is_named_with_the_reason_and_leaves_nothing(here: Repository) -> None:
    with pytest.raises(LifecycleError, match=r"broken .* cannot be built") as raised:
        compare_with_ref(here.load(), "broken", days=[], examples=3)
    assert "unknown setting 'no_such_setting'" in str(raised.value) and "Traceback" not in str(raised.value)
    assert here.left_behind() == []


def test_what_a_killed_comparison_left_is_in_nobodys_way(here: Repository) -> None:
    scratch = here.settings.state.comparison.root
    here.git("worktree", "add", "--quiet", "--detach", str(scratch / "checkout"), "HEAD")
    (scratch / "inputs").mkdir()
    with pytest.raises(LifecycleError, match="cannot be built"):
        compare_with_ref(here.load(), "broken", days=[], examples=3)
    assert here.left_behind() == []


# --- what it says when it cannot -------------------------------------------------------------------------------------


def diff(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["lifecycle", "diff", "--config", str(config), *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (["--against", "no_such_branch"], "git knows no commit 'no_such_branch'", "a tag or a commit"),
        (["--against", "ancient"], "is too old to be built beside the working tree", "Name a later ref"),
        (["--against", "HEAD~1", "--as-of", "june"], "'june' is no day", "year-month-day"),
        (["--against", "HEAD~1", "--as-of", "2024-07-01"], "2024-07-01 is after 2024-06-30", "lifecycle run"),
        (["--against", "HEAD~1", "--as-of", "2001-01-01"], "nothing had happened yet", "Name a later day"),
        (["HEAD~1"], "'HEAD~1' has no meaning here", "--against"),
        (["--between-runs", "--against", "HEAD"], "--between-runs compares two publications", "Leave --against"),
        (["--between-runs", "--as-of", "2024-06-01"], "--between-runs compares two publications", "Leave --against"),
        (["--between-runs"], "there is no publication before the current one", "To compare with: none"),
        (["--between-runs", "run-9"], "no run 'run-9' is kept", "lifecycle publication list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_compared_is_refused_in_words(
    here: Repository,
    arguments: list[str],
    problem: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, said = diff(here.shop.config, monkeypatch, capsys, *arguments)
    assert code == 1
    assert problem in said and remedy in said


def test_a_company_that_never_ran_is_told_to_run(here: Repository, tmp_path: Path) -> None:
    config = tmp_path / "lifecycle.yml"
    config.write_text(here.shop.config.read_text())
    with (here.root / "seeds" / "channels.csv").open("a") as file:
        file.write("pigeon,false,Birds.\n")
    with pytest.raises(LifecycleError, match="nothing is loaded yet") as raised:
        compare_with_ref(load_settings(config), "HEAD", days=[], examples=3)
    assert "lifecycle run" in str(raised.value)
    with pytest.raises(LifecycleError, match="nothing is published yet"):
        compare_publications(load_settings(config), None, examples=3)


def test_a_run_that_is_going_on_is_not_disturbed(here: Repository) -> None:
    with another_process_holds(here.settings.state), pytest.raises(LockedError, match="run-of-another"):
        copy_inputs(here.settings, here.root.parent / "copy")
    shutil.rmtree(here.root.parent / "copy", ignore_errors=True)


def test_two_comparisons_do_not_share_a_folder(here: Repository) -> None:
    here.change("seeds/channels.csv", "\nemail,", "\nemail ,")
    with another_process_holds(here.settings.state.comparison), pytest.raises(LockedError):
        compare_with_ref(here.load(), "HEAD", days=[], examples=3)
    shutil.rmtree(here.settings.state.comparison.root)


def test_a_run_that_did_not_come_to_its_end_has_nothing_to_compare(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with opened(settings) as warehouse:
        warehouse.run("create schema ops")
        warehouse.run("create table ops.build as select 'r' as run_id, date '2024-03-31' as as_of, null as as_of_end")
        warehouse.run("create table ops.gate_results as select 'r' as run_id, 'intake' as gate")
    with pytest.raises(LifecycleError, match="did not come as far as the marts"):
        copy_inputs(settings, tmp_path / "copy")


def test_a_disk_that_is_too_small_is_said_before_anything_is_copied(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(100, 99, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LifecycleError, match=r"the disk has 0\.0 GB free"):
        copy_inputs(here.settings, tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_disk_that_fills_up_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="No space left") as raised, variant.writing_to(tmp_path):
        raise OSError(28, "No space left on device")
    assert "Make room" in str(raised.value)


def test_a_folder_outside_git_has_no_other_version(
    tmp_path: Path, here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PROJECT_DIR", tmp_path)
    with pytest.raises(LifecycleError, match="no git repository") as raised:
        compare_with_ref(here.load(), "HEAD", days=[], examples=3)
    assert "--between-runs" in str(raised.value)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LifecycleError, match="git is not installed"):
        compare_with_ref(here.load(), "HEAD", days=[], examples=3)


def test_the_command_builds_by_the_code_it_is_started_in(repository: Repository) -> None:
    """Only asks for its help: a build takes seconds, the import tells where the code comes from."""
    code = "import lifecycle.comparison.variant as variant; print(variant.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=repository.root, capture_output=True, text=True, check=True
    ).stdout
    assert Path(said.strip()).is_relative_to(repository.root)
    answer = subprocess.run(
        [sys.executable, "-m", versions.ENTRY, "--help"],
        cwd=repository.root,
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--config", "--inputs", "--as-of", "--into"):
        assert option in answer.stdout


def test_what_a_version_says_of_itself_is_what_later_versions_read(tmp_path: Path) -> None:
    variant.describe(settings_of(tmp_path), tmp_path)
    content = json.loads((tmp_path / "variant.json").read_text())
    assert content["settings"].keys() == {"timezone", "currency", "lifecycle", "survivorship"}


# --- two publications ------------------------------------------------------------------------------------------------

FIRST = datetime(2024, 1, 10)
LATER = datetime(2024, 2, 10)
AFTERWARDS = datetime(2024, 4, 2)
"""After the earlier run's day."""

Rows = list[tuple[str, str, str, datetime, datetime | None]]


def publish(settings: Settings, run_id: str, as_of: date, rows: Rows, merges: list[tuple[str, str, str]]) -> None:
    """Publish histories (customer, stage, reason, from, to); everybody in stage lapsed is in the segment."""
    with opened(settings) as warehouse:
        build(warehouse, run_id=run_id)
        _values(
            warehouse,
            "marts.customer_lifecycle_history",
            "customer_id varchar, stage varchar, reason_code varchar, reason varchar, evidence_event_id varchar,"
            " valid_from_at timestamp, valid_to_at timestamp",
            [(who, stage, "rule", reason, "event", begin, end) for who, stage, reason, begin, end in rows],
        )
        _values(
            warehouse,
            "segments.segment_history",
            "segment_name varchar, customer_id varchar, entry_reason varchar, exit_reason varchar, valid_from_at"
            " timestamp, valid_to_at timestamp",
            [("lapsed", who, reason, None, begin, end) for who, stage, reason, begin, end in rows if stage == "lapsed"],
        )
        people = sorted({row[0] for row in rows})
        warehouse.run("delete from marts.customer_360 where customer_id >= 'c00004'")
        warehouse.run("update marts.customer_360 set customer_id = 'x' || customer_id")
        for who in people:
            warehouse.run(
                "insert into marts.customer_360 by name select * replace (? as customer_id) from marts.customer_360"
                " where customer_id = 'xc00001'",
                [who],
            )
        warehouse.run("delete from marts.customer_360 where customer_id like 'x%'")
        _values(
            warehouse,
            "identity.customer_merges",
            "previous_customer_id varchar, customer_id varchar, change_kind varchar, record_count bigint,"
            " reason varchar, changed_as_of date",
            [(old, new, kind, 1, "why", as_of) for old, new, kind in merges],
        )
        warehouse.run(f"update ops.batches set source_system = 'shop', batch_id = 'batch of {run_id}'")
        build_publication(
            warehouse,
            settings,
            run_id=run_id,
            as_of=as_of,
            published_at=NOW + timedelta(days=int(run_id.partition("-")[2])),
        )


def rows_of(**people: list[tuple[str, datetime]]) -> Rows:
    """Stages by customer, each from its moment to that of the next one."""
    found: Rows = []
    for who, stages in people.items():
        ends: list[datetime | None] = [*(begin for _, begin in stages[1:]), None]
        found += [
            (who, stage, f"because of {stage}", begin, end) for (stage, begin), end in zip(stages, ends, strict=True)
        ]
    return found


@pytest.fixture
def two_runs(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, timezone="America/New_York")
    publish(
        settings,
        "run-1",
        date(2024, 3, 31),
        rows_of(
            as_before=[("awareness", FIRST), ("lapsed", LATER)],
            moves_on=[("awareness", FIRST)],
            corrected=[("awareness", FIRST), ("lapsed", LATER)],
            old_name=[("awareness", FIRST)],
            one_half=[("awareness", FIRST)],
            other_half=[("lapsed", LATER)],
            torn=[("awareness", FIRST)],
            gone=[("awareness", FIRST)],
        ),
        [],
    )
    later = rows_of(
        as_before=[("awareness", FIRST), ("lapsed", LATER)],
        # What happens after the earlier run's day is no rewriting.
        moves_on=[("awareness", FIRST), ("conversion", AFTERWARDS)],
        # An order that came in late.
        corrected=[("awareness", FIRST), ("retention", datetime(2024, 2, 1, 3))],
        new_name=[("awareness", FIRST)],
        one_half=[("awareness", FIRST), ("lapsed", LATER)],
        piece=[("awareness", FIRST)],
        crumb=[("awareness", LATER)],
        appeared=[("conversion", LATER)],
        born=[("awareness", AFTERWARDS)],
    )
    merges = [
        ("old_name", "middle_name", "renamed"),
        ("middle_name", "new_name", "renamed"),
        ("other_half", "one_half", "merged"),
        ("torn", "piece", "split"),
        ("torn", "crumb", "split"),
    ]
    publish(settings, "run-2", date(2024, 4, 10), later, merges)
    return settings


def test_only_the_past_that_was_told_counts_as_rewritten(two_runs: Settings) -> None:
    found = compare_publications(two_runs, None, examples=3)
    assert (found.earlier.run_id, found.later.run_id, found.as_of) == ("run-1", "run-2", date(2024, 3, 31))
    # Rewritten: corrected and one_half. Not known then: piece, crumb, appeared (born came later). Gone: gone and torn.
    assert (found.rewritten_count, found.appeared_count, found.gone_count) == (2, 3, 2)
    assert (found.renamed_count, found.joined_count) == (1, 1)
    assert {(one.name, one.before, one.after) for one in found.intervals} == {
        # The first interval of both has another end than before.
        ("awareness", 2, 2),
        ("lapsed", 1, 1),
        ("retention", 0, 1),
    }


def test_rewriting_is_counted_in_the_local_month_it_begins_in(two_runs: Settings) -> None:
    found = compare_publications(two_runs, None, examples=3)
    # corrected differs from the 1st of February 03:00 UTC on: the 31st of January in New York.
    assert {one.month: (one.rewritten, one.appeared, one.gone) for one in found.months} == {
        date(2024, 1, 1): (1, 1, 2),
        date(2024, 2, 1): (1, 2, 0),
    }


def test_the_earlier_day_is_compared_under_todays_ids(two_runs: Settings) -> None:
    found = compare_publications(two_runs, None, examples=3)
    day = found.changes.days[0]
    flows = {(flow.from_stage, flow.to_stage): [example.customer_id for example in flow.examples] for flow in day.flows}
    assert flows == {
        ("lapsed", "retention"): ["corrected"],
        ("awareness", "lapsed"): ["one_half"],
        ("awareness", None): ["gone", "torn"],
        (None, "awareness"): ["crumb", "piece"],
        (None, "conversion"): ["appeared"],
    }
    [lapsed] = day.segments
    assert (lapsed.before, lapsed.after, lapsed.gained, lapsed.lost) == (2, 2, 1, 1)
    today = {one.name: (one.before, one.after) for one in found.today}
    assert today["conversion"] == (0, 2)


def test_the_report_on_two_runs_says_what_was_loaded_and_no_personal_data(two_runs: Settings) -> None:
    markdown = as_markdown(tell_rewriting(compare_publications(two_runs, None, examples=3), two_runs.zone))
    assert "2 people of 10 have another past than was told then; 3 with a past were not known then" in markdown
    assert "| shop | contacts | 1 | 12 |" in markdown
    assert "Stages at the end of 2024-03-31" in markdown and "2024-03-31 and 2024-04-10" in markdown
    assert not any(canary in markdown for canary in CANARIES)


def test_a_run_that_rewrote_nothing_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for run_id, as_of in (("run-1", date(2024, 3, 30)), ("run-2", date(2024, 3, 31))):
        publish(settings, run_id, as_of, rows_of(anna=[("awareness", FIRST)], bert=[("lapsed", LATER)]), [])
    found = compare_publications(settings, None, examples=3)
    assert found.changes.is_none and found.months == () and found.intervals == ()
    assert "0 people of 2 have another past" in as_markdown(tell_rewriting(found, settings.zone))


def test_any_kept_run_may_be_named_but_not_the_current_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for number in (1, 2, 3):
        publish(settings, f"run-{number}", date(2024, 3, 28 + number), rows_of(anna=[("awareness", FIRST)]), [])
    assert compare_publications(settings, "run-1", examples=0).earlier.run_id == "run-1"
    assert compare_publications(settings, None, examples=0).earlier.run_id == "run-2"
    with pytest.raises(LifecycleError, match="cannot be compared with itself") as raised:
        compare_publications(settings, "run-3", examples=0)
    assert "run-2, run-1" in str(raised.value)


def test_the_command_compares_runs(
    two_runs: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "lifecycle.yml"
    config.write_text(
        "project: small\ntimezone: America/New_York\n"
        "sources: [{name: shop, table: contacts, path: none.csv}]\nwarehouse: {memory_limit: 500MB}\n"
    )
    for output_format, mark in (("table", "From when on the past differs"), ("markdown", "### From when on the past")):
        code, said, _ = diff(config, monkeypatch, capsys, "--between-runs", "run-1", "--format", output_format)
        assert code == 0
        assert mark in said and "one_half" in said
        assert not (two_runs.state.root / "scratch" / "comparison").exists()
