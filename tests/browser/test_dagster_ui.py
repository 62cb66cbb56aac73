"""Dagster's UI, as a data engineer opens it, in a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from lifecycle.settings import PROJECT_DIR
from orchestration.execution import Outcome, execute
from tests.orchestration.conftest import Shop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: make browser"),
]


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Outcome]:
    """A run in which one segment's gate stopped its list."""
    shop = Shop(tmp_path_factory.mktemp("ui") / "shop")
    shop.content["lifecycle"]["high_value_amount"] = 1_000_000  # type: ignore[index]
    outcome = execute(shop.settings())
    assert outcome.exit_code == 3, outcome
    return shop, outcome


@pytest.fixture(scope="module")
def address(stopped_run: tuple[Shop, Outcome]) -> Iterator[str]:
    shop, _ = stopped_run
    home = shop.settings().state.dagster
    (home / "dagster.yaml").write_text((PROJECT_DIR / "dagster.yaml").read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "ui.log").open("w")
    server = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "dagster-webserver"),
            *("-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)),
        ],
        cwd=home,
        env={
            **os.environ,
            "LIFECYCLE_CONFIG": str(shop.config),
            "LIFECYCLE_DAGSTER_DIR": str(home),
            "DAGSTER_HOME": str(home),
        },
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{base}/server_info", timeout=2)  # noqa: S310
                break
            except OSError:
                assert server.poll() is None, (home / "ui.log").read_text()
                time.sleep(0.5)
        yield base
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        log.close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_the_catalog_shows_every_group_of_assets(page: Page, address: str) -> None:
    page.goto(f"{address}/asset-groups")
    for group in ("landing", "raw", "staging", "intermediate", "identity", "marts", "segments", "serving", "publish"):
        page.get_by_text(group, exact=True).first.wait_for()


def test_the_run_of_the_command_line_is_there_with_its_stop(
    page: Page, address: str, stopped_run: tuple[Shop, Outcome]
) -> None:
    page.goto(f"{address}/runs")
    page.get_by_text(stopped_run[1].run_id[:8]).first.wait_for()
    page.goto(f"{address}/runs/{stopped_run[1].run_id}")
    page.get_by_text("publish__high_value_at_risk_to_drop_plan").first.wait_for()
    page.get_by_text("Failure").first.wait_for()


def test_the_failed_gate_is_red_with_its_figure_and_limit(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/publish/high_value_at_risk_to_drop_plan?view=checks&checkDetail=segment_gate")
    page.get_by_text("segment_gate").first.wait_for()
    page.get_by_text("observed 0, allowed at least 1").first.wait_for()


def test_a_mart_tells_its_rows_and_columns(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/marts/customer_360")
    page.get_by_text("Row count").first.wait_for()
    page.get_by_text("net_revenue_amount").first.wait_for()
