"""A Mailman 3 of its own: started for a test from an empty folder, stopped and removed after it.

It needs Debian's package ``mailman3``, whose own service need not run and is not touched. Root becomes the user
``list``, as whom Mailman runs; anybody else runs it as themselves. Only the REST server is started, so no mail leaves;
what Mailman wants to send waits in ``queued_mails``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any

USER = "restadmin"
START_SECONDS, STOP_SECONDS = 120, 30
IDLE = (
    *("archive", "bounces", "command", "digest", "in", "lmtp", "nntp"),
    *("out", "pipeline", "retry", "shunt", "task", "virgin"),
)
"""Mailman's processes that no list of members needs."""

CONFIG = """\
[mailman]
layout: here
site_owner: nobody@example.com
[paths.here]
var_dir: {folder}/var
bin_dir: {programs}
[webservice]
hostname: 127.0.0.1
port: {port}
admin_user: {user}
admin_pass: {password}
[mta]
incoming: mailman.mta.null.NullMTA
smtp_host: 127.0.0.1
smtp_port: 9
"""


def missing_part() -> str | None:
    """Why no Mailman can be started here; None when one can."""
    if shutil.which("mailman") is None:
        return "Mailman is not on this machine: apt-get install --no-install-recommends mailman3"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "Mailman does not run as root, and there is no runuser to become its user with"
    return None


class MailmanServer:
    """The server. Use it as a context; ``url`` is where it answers."""

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        self._folder = Path(tempfile.mkdtemp(prefix="lifecycle-mailman-"))
        self._config = self._folder / "mailman.cfg"
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> MailmanServer:
        program = shutil.which("mailman")
        assert program is not None, missing_part()
        described = CONFIG.format(
            folder=self._folder,
            programs=Path(program).resolve().parent,
            port=self.port,
            user=USER,
            password=self.password,
        )
        described += "".join(f"[runner.{name}]\nstart: no\n" for name in IDLE)
        self._config.write_text(described, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (self._folder, self._config):
                shutil.chown(path, "list", "list")
        try:
            self.command("start")
            self._wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        master = self._master()
        if master is not None:
            with suppress(subprocess.SubprocessError, RuntimeError):
                self.command("stop")
            ends = time.monotonic() + STOP_SECONDS
            while _is_alive(master) and time.monotonic() < ends:
                time.sleep(0.1)
            if _is_alive(master):
                # The master leads a process group of its own: itself and the REST server.
                with suppress(ProcessLookupError):
                    os.killpg(master, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def command(self, *arguments: str) -> str:
        """What ``mailman …`` prints."""
        prefix = ["runuser", "-u", "list", "--"] if os.geteuid() == 0 else []
        # A file, no pipe: the server that is started inherits it, and a pipe would not end before the server does.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            done = subprocess.run(
                [*prefix, "mailman", "-C", str(self._config), *arguments],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=START_SECONDS,
            )
            said.seek(0)
            text = said.read()
        if done.returncode:
            raise RuntimeError(f"mailman {arguments[0]} failed ({done.returncode}): {text[-2_000:]}")
        return text

    def call(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        return rest_call(self.port, self.password, method, path, content)

    def members(self, address: str) -> set[str]:
        """Who is on a list, as Mailman's own command says."""
        said = self.command("members", address)
        return {line.strip() for line in said.splitlines() if "@" in line and " " not in line.strip()}

    def queued_mails(self) -> int:
        """Mails that Mailman would send if the rest of it ran."""
        return sum(1 for path in (self._folder / "var" / "queue").rglob("*.pck") if path.is_file())

    def _master(self) -> int | None:
        try:
            return int((self._folder / "var" / "master.pid").read_text())
        except (OSError, ValueError):
            return None

    def _wait(self) -> None:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            with suppress(OSError):
                if self.call("GET", "/3.1/system/versions")[0] == 200:
                    return
            time.sleep(0.2)
        log = self._folder / "var" / "logs" / "mailman.log"
        last = log.read_text(encoding="utf-8", errors="replace")[-2_000:] if log.exists() else "it wrote no log"
        raise RuntimeError(f"Mailman did not answer within {START_SECONDS} seconds: {last}")


def rest_call(port: int, password: str, method: str, path: str, content: Any = None) -> tuple[int, Any]:
    """Status and answer of a call to a REST server on this machine, made without anything of the project."""
    headers = {"Authorization": f"Basic {b64encode(f'{USER}:{password}'.encode()).decode()}"}
    if content is not None:
        headers["Content-Type"] = "application/json"
    line = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        line.request(method, path, None if content is None else json.dumps(content), headers)
        response = line.getresponse()
        data = response.read()
    finally:
        line.close()
    return response.status, json.loads(data) if data else None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
