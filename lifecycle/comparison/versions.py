"""Two versions of the rules: the working tree's, and that of a git ref.

Belongs here: the checkout of the other version, a build of each by its own code, and what changed in the files.
Does not belong here: the build itself (``variant.py``), what the histories say (``changes.py``).

Both versions are built from one copy of what is loaded, for one day, in processes of their own. The identity of people
is part of the copy: who is who is the same in both.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from lifecycle.build import local_midnight_after
from lifecycle.comparison.changes import Changes, compare
from lifecycle.comparison.variant import DESCRIPTION, Inputs, comparing_in, copy_inputs, writing_to
from lifecycle.errors import LifecycleError, SettingsError
from lifecycle.settings import PROJECT_DIR, Settings
from lifecycle.state import run_lock
from lifecycle.timing import progress
from lifecycle.warehouse import Warehouse, attached

PARTS = ("lifecycle", "models", "seeds", "dbt_project")
"""The folders that decide what is built."""

ENTRY = "lifecycle.comparison.variant"
"""The module that builds a version in its own checkout."""


@dataclass(frozen=True)
class ChangedFile:
    """A file that differs, with its lines that came and went; null where git does not count them."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class ChangedValue:
    """A setting, or a part of a rule, in both versions; null where one does not have it."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Comparison:
    """The working tree against a ref. ``changes`` is null when no file that decides differs: nothing was built."""

    project: str
    before: str
    after: str
    as_of: date | None
    files: tuple[ChangedFile, ...]
    settings: tuple[ChangedValue, ...]
    rules: tuple[ChangedValue, ...]
    notes: tuple[str, ...]
    changes: Changes | None


def compare_with_ref(settings: Settings, ref: str, *, days: Sequence[date], examples: int) -> Comparison:
    """Compare the working tree, as it is, with a git ref of the project; on ``days``, else on the warehouse's.

    Raises LifecycleError when the project is no git repository, the ref is unknown or too old to be built beside this
    one, a version cannot be built, or a day lies outside what is loaded; and what ``copy_inputs`` raises.
    """
    repository = _Repository.of(PROJECT_DIR)
    commit = repository.commit(ref)
    config = _config_in(repository, commit, settings.config_file)
    files = repository.changed_files(commit, [*PARTS, *([config] if config else [])])
    before = f"{ref} ({commit[:9]})" if not commit.startswith(ref) else commit[:9]
    notes = [] if config else [_why_one_config(repository, settings.config_file, ref)]
    if not files:
        return Comparison(settings.project, before, "the working tree", None, (), (), (), tuple(notes), None)
    if not repository.has(commit, f"{repository.prefix}{ENTRY.replace('.', '/')}.py"):
        raise LifecycleError(
            f"{before} is too old to be built beside the working tree: it has no {ENTRY}",
            where="--against",
            remedy="Name a later ref.",
        )
    with scratch_folder(settings) as scratch, repository.checkout(commit, scratch / "checkout") as tree:
        checkout = tree / repository.prefix
        progress.info("copying what is loaded")
        inputs = copy_inputs(settings, scratch / "inputs")
        compared_days = days or [inputs.as_of]
        _check_days(settings, inputs, compared_days)
        described = {}
        for side, code, config_file, label in (
            ("before", checkout, tree / config if config else settings.config_file, before),
            ("after", PROJECT_DIR, settings.config_file, "the working tree"),
        ):
            progress.info("building %s", label)
            described[side] = _build(code, config_file, inputs, scratch / side, label)
        progress.info("comparing")
        with writing_to(scratch), _opened(settings, scratch) as warehouse:
            changes = compare(
                warehouse,
                [(day, local_midnight_after(day, settings)) for day in sorted(compared_days)],
                examples=examples,
                has_schemes=_show_schemes(warehouse),
            )
        return Comparison(
            settings.project,
            before,
            "the working tree",
            inputs.as_of,
            tuple(files),
            tuple(_changed_values(described["before"], described["after"])),
            tuple(_changed_rules(checkout, PROJECT_DIR)),
            tuple(notes),
            changes,
        )


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """The folder of a comparison; it is gone afterwards, and what a killed one left is gone before."""
    state = settings.state.comparison
    with run_lock(state, "comparison"):
        for left in state.root.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left != state.lock:
                left.unlink()
        try:
            yield state.root
        finally:
            shutil.rmtree(state.root, ignore_errors=True)


def _check_days(settings: Settings, inputs: Inputs, days: Sequence[date]) -> None:
    for day in days:
        if day > inputs.as_of:
            raise SettingsError(
                f"{day} is after {inputs.as_of}, the last day that is loaded",
                where="--as-of",
                remedy="Name an earlier day, or run the pipeline for a later one: `lifecycle run`.",
            )
        begun = inputs.first_event_at
        if begun is not None and local_midnight_after(day, settings) <= begun:
            raise SettingsError(
                f"at the end of {day} nothing had happened yet; the first event was at {begun:%Y-%m-%d %H:%M} UTC",
                where="--as-of",
                remedy="Name a later day.",
            )


def _build(code: Path, config: Path, inputs: Inputs, into: Path, label: str) -> dict[str, Any]:
    """Build a version by its own code, in a process of its own; returns what it says of itself."""
    into.mkdir(mode=0o750)
    errors = into / "errors.txt"
    command = [sys.executable, "-m", ENTRY, "--config", str(config), "--inputs", str(inputs.database)]
    command += ["--as-of", inputs.as_of.isoformat(), "--into", str(into)]
    with (
        errors.open("w", encoding="utf-8") as told,
        # A module is looked for in the folder it is started in before everywhere else.
        subprocess.Popen(command, cwd=code, stdout=subprocess.PIPE, stderr=told, text=True) as process,  # noqa: S603
    ):
        try:
            for line in process.stdout or ():
                progress.debug("%s", line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = errors.read_text(encoding="utf-8").strip() or f"its process ended with {process.returncode}"
        if "Traceback (most recent call last)" in said:
            said = said.splitlines()[-1]
        raise LifecycleError(f"{label} cannot be built:\n  {said}", where=str(code))
    content: dict[str, Any] = json.loads((into / DESCRIPTION).read_text(encoding="utf-8"))
    return content["settings"]  # type: ignore[no-any-return]


@contextmanager
def _opened(settings: Settings, scratch: Path) -> Iterator[Warehouse]:
    """Both versions in one connection, as ``changes`` wants to see them."""
    with (
        comparing_in(settings, scratch) as warehouse,
        attached(warehouse, scratch / "before" / "warehouse.duckdb", "before_version"),
        attached(warehouse, scratch / "after" / "warehouse.duckdb", "after_version"),
    ):
        for side in ("before", "after"):
            warehouse.run(
                f"create temp view {side}_history as select customer_id, stage, reason_code, reason, valid_from_at,"
                f" valid_to_at from {side}_version.marts.customer_lifecycle_history"
            )
            warehouse.run(
                f"create temp view {side}_segments as select segment_name, customer_id, entry_reason, valid_from_at,"
                f" valid_to_at from {side}_version.segments.segment_history"
            )
        yield warehouse


def _show_schemes(warehouse: Warehouse) -> bool:
    """The schemes of both versions; a version without any has none. Returns whether one has some."""
    there = {
        database
        for (database,) in warehouse.rows(
            "select database_name from duckdb_tables() where schema_name = 'marts'"
            " and table_name = 'customer_scheme_stages'"
        )
    }
    for side in ("before", "after"):
        warehouse.run(
            f"create temp view {side}_schemes as "
            + (
                f"select scheme, customer_id, stage, stage_order from {side}_version.marts.customer_scheme_stages"
                if f"{side}_version" in there
                else "select '' as scheme, '' as customer_id, '' as stage, 0 as stage_order where false"
            )
        )
    return bool(there)


# --- what changed in the files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Repository:
    """The git repository that the project lies in; ``prefix`` is the project's folder in it, empty or with a slash."""

    root: Path
    prefix: str

    @classmethod
    def of(cls, folder: Path) -> _Repository:
        if shutil.which("git") is None:
            raise LifecycleError("git is not installed", remedy="Install it: the other version is read out of git.")
        top = _git(folder, "rev-parse", "--show-toplevel", "--show-prefix")
        if top.returncode:
            raise LifecycleError(
                "this is no git repository, so there is no other version to compare with",
                where=str(folder),
                remedy="Work in a clone of the project, or compare two runs: `lifecycle diff --between-runs`.",
            )
        root, prefix = (top.stdout + "\n").split("\n")[:2]
        return cls(Path(root), prefix)

    def commit(self, ref: str) -> str:
        found = _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if found.returncode or not ref:
            raise LifecycleError(
                f"git knows no commit '{ref}'",
                where="--against",
                remedy="Name a branch, a tag or a commit of this repository, for example main or HEAD~1.",
            )
        return found.stdout.strip()

    def has(self, commit: str, path: str) -> bool:
        return not _git(self.root, "cat-file", "-e", f"{commit}:{path}").returncode

    def changed_files(self, commit: str, parts: Sequence[str]) -> list[ChangedFile]:
        """Files of the project that are not in the working tree as they are in a commit; new ones too."""
        paths = [part if part not in PARTS else f"{self.prefix}{part}" for part in parts]
        files = []
        for line in self._output("diff", "--numstat", "--no-renames", "-z", commit, "--", *paths).split("\0"):
            if line:
                added, removed, path = line.split("\t", 2)
                files.append(ChangedFile(path, *(int(n) if n.isdigit() else None for n in (added, removed))))
        untracked = self._output("ls-files", "--others", "--exclude-standard", "-z", "--", *paths)
        for path in untracked.split("\0"):
            if (self.root / path).is_file():
                files.append(ChangedFile(path, (self.root / path).read_bytes().count(b"\n"), 0))
        return sorted(files, key=lambda file: file.path)

    @contextmanager
    def checkout(self, commit: str, folder: Path) -> Iterator[Path]:
        """The files of a commit, in a working tree of their own that is gone afterwards."""
        # What a killed comparison left is known to git until it looks.
        _git(self.root, "worktree", "prune")
        # No hook of the repository has a part in this.
        self._output("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git(self.root, "worktree", "remove", "--force", str(folder))
            shutil.rmtree(folder, ignore_errors=True)
            _git(self.root, "worktree", "prune")

    def _output(self, *arguments: str) -> str:
        done = _git(self.root, *arguments)
        if done.returncode:
            raise LifecycleError(
                f"git cannot do it: {done.stderr.strip()}",
                where=str(self.root),
                remedy=f"Try `git {' '.join(arguments)}` by hand.",
            )
        return done.stdout


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    git = shutil.which("git") or "git"
    return subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)  # noqa: S603


def _config_in(repository: _Repository, commit: str, config: Path) -> str | None:
    """The settings file's path in the repository, if the commit has it."""
    if not config.resolve().is_relative_to(repository.root.resolve()):
        return None
    path = config.resolve().relative_to(repository.root.resolve()).as_posix()
    return path if repository.has(commit, path) else None


def _why_one_config(repository: _Repository, config: Path, ref: str) -> str:
    inside = config.resolve().is_relative_to(repository.root.resolve())
    why = f"{ref} does not have it" if inside else "it lies outside the repository"
    return f"Both versions read {config.name} as it is now: {why}."


def _changed_values(before: dict[str, Any], after: dict[str, Any]) -> Iterator[ChangedValue]:
    """Settings by their names in lifecycle.yml, with a dot between a group and what is in it."""
    flat = _flat(before), _flat(after)
    for name in sorted(flat[0].keys() | flat[1].keys()):
        if flat[0].get(name) != flat[1].get(name):
            yield ChangedValue(name, *(side.get(name) for side in flat))


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
    return found


def _changed_rules(before: Path, after: Path) -> Iterator[ChangedValue]:
    """What changed in the lists of dbt_project.yml whose entries have ids: rules, flags and their like."""
    lists = [_rules(folder) for folder in (before, after)]
    for name in sorted(lists[0].keys() | lists[1].keys()):
        kind = name.removeprefix("lifecycle_").removesuffix("s")
        entries = [{str(entry["id"]): entry for entry in side.get(name, [])} for side in lists]
        common = [[entry for entry in side if entry in entries[0] and entry in entries[1]] for side in entries]
        for entry in dict.fromkeys([*entries[1], *entries[0]]):
            was, now = (side.get(entry) for side in entries)
            if was is None or now is None:
                yield ChangedValue(f"{kind} {entry}", _condition(was), _condition(now))
                continue
            for part in dict.fromkeys([*was, *now]):
                # A rule that was put in before others gives all of them another number.
                if was.get(part) != now.get(part) and part != "precedence":
                    yield ChangedValue(f"{kind} {entry}, {part}", _text(was.get(part)), _text(now.get(part)))
        if common[0] != common[1]:
            yield ChangedValue(f"order of {kind}s", ", ".join(common[0]), ", ".join(common[1]))


def _rules(folder: Path) -> dict[str, list[dict[str, Any]]]:
    import yaml

    content = yaml.safe_load((folder / "dbt_project" / "dbt_project.yml").read_text(encoding="utf-8"))
    return {
        name: value
        for name, value in (content.get("vars") or {}).items()
        if isinstance(value, list) and all(isinstance(entry, dict) and "id" in entry for entry in value)
    }


def _condition(rule: dict[str, Any] | None) -> str | None:
    return None if rule is None else _text(rule.get("condition", rule))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
