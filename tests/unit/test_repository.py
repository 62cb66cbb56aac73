"""The repository's shell: locks, the Makefile, CI's script, Dagster's settings, the docs' links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lifecycle.settings import PROJECT_DIR, Environment

LOCKS = [PROJECT_DIR / "requirements.lock", PROJECT_DIR / "tests" / "requirements-old-client.lock"]
DOCS = sorted([*PROJECT_DIR.glob("*.md"), *(PROJECT_DIR / "docs").glob("*.md"), *PROJECT_DIR.glob("examples/*/*.md")])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_every_package_with_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert re.search(r"https?://|--(extra-)?index-url|--find-links|file:", text) is None
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", text.strip())
    assert len(blocks) >= 1
    for block in blocks:
        assert re.match(r"[a-zA-Z0-9._\[\]-]+==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_old_client_is_older_than_the_storage_format_of_the_build_file() -> None:
    assert re.match(r"duckdb==1\.5\.\d+ ", LOCKS[1].read_text(encoding="utf-8"))


def test_make_help_lists_every_command_that_is_described() -> None:
    makefile = (PROJECT_DIR / "Makefile").read_text(encoding="utf-8")
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    answer = subprocess.run(["make", "help"], cwd=PROJECT_DIR, capture_output=True, text=True, check=True)
    assert {line.split()[1] for line in answer.stdout.splitlines() if line.startswith("  make ")} == described
    assert {
        "run",
        "test",
        "ui",
        "bench",
        "docs",
        "lint",
        "format",
        "lock",
        "clean",
        "browser",
        "old-client",
    } <= described


def test_a_makefile_target_that_the_docs_name_exists() -> None:
    makefile = (PROJECT_DIR / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        name for path in DOCS for name in re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named <= targets


def test_a_python_that_is_too_old_is_refused_in_words(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ntest "$1" = --version && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((PROJECT_DIR / name).read_bytes())
    answer = subprocess.run(
        ["make", "setup", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode != 0
    assert "Python 3.11 or 3.12 is needed" in answer.stderr
    assert "Python 3.9.2" in answer.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_everything_and_stops_at_the_first_failure() -> None:
    script = PROJECT_DIR / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert text.index("make browser") < text.index("make test")


def test_the_sample_environment_names_exactly_what_is_read() -> None:
    named = set(re.findall(r"^# (LIFECYCLE_\w+)=", (PROJECT_DIR / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert named == {f"LIFECYCLE_{field.upper()}" for field in Environment.model_fields}


def test_dagster_keeps_everything_in_the_folder_it_is_given_and_reports_nothing(tmp_path: Path) -> None:
    code = (
        "import json, sys; from dagster import DagsterInstance\n"
        "instance = DagsterInstance.from_config(sys.argv[1])\n"
        "concurrency = instance.get_concurrency_config()\n"
        "print(json.dumps({'telemetry': instance.telemetry_enabled, 'monitoring': instance.run_monitoring_enabled,"
        " 'runs': concurrency.run_queue_config.max_concurrent_runs,"
        " 'pool': concurrency.pool_config.default_pool_limit,"
        " 'root': instance.root_directory, 'logs': instance.compute_log_manager._base_dir}))"
    )
    before = set(PROJECT_DIR.iterdir())
    answer = subprocess.run(
        [sys.executable, "-c", code, str(PROJECT_DIR)],
        env={**os.environ, "LIFECYCLE_DAGSTER_DIR": str(tmp_path / "dagster")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert yaml.safe_load(answer.stdout.splitlines()[-1]) == {
        "telemetry": False,
        "monitoring": True,
        "runs": 1,
        "pool": 1,
        "root": str(tmp_path / "dagster"),
        "logs": str(tmp_path / "dagster"),
    }
    assert {"index.db", "runs.db"} <= {file.name for file in (tmp_path / "dagster").iterdir()}
    assert set(PROJECT_DIR.iterdir()) == before


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(PROJECT_DIR)))
def test_a_link_in_the_docs_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
