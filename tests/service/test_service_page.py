"""The page about the service can be followed as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from tests.cli.conftest import program

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
BASH = shutil.which("bash") or "bash"


def typed(line):
    """What a line prints: ours in this process, anything else by a shell."""
    if not line.startswith("crisis-filter "):
        done = subprocess.run(
            [BASH, "-euo", "pipefail", "-c", line], check=False, timeout=60, capture_output=True, text=True
        )
        assert done.returncode == 0, line
        return done.stdout
    _, *words = shlex.split(line)
    given, _, file = " ".join(shlex.quote(word) for word in words).partition(" '>' ")
    ran = CliRunner().invoke(app, shlex.split(given))
    assert ran.exit_code == 0, (line, ran.stderr)
    if file:
        Path(file).write_text(ran.stdout, encoding="utf-8")
    return ran.stdout


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks by curl")
def test_its_commands_work(tmp_path, monkeypatch):
    """All blocks in order, in an empty folder; the service runs until the end and takes SIGTERM."""
    monkeypatch.chdir(tmp_path)
    for name in ("CRISIS_FILTER_BACKEND", "CRISIS_FILTER_POLICY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    page = PAGE.replace(":8080", f":{port}").replace("--port 8080", f"--port {port}").replace("\\\n", " ")
    begin, ask, look = (block.splitlines() for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    for line in begin[:-1]:
        typed(line)
    _, *serve = shlex.split(begin[-1])
    assert serve[0] == "serve"
    service = subprocess.Popen(program(*serve), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert service.poll() is None, service.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        asked = "".join(typed(line) for line in ask)
        assert '"outcome":"no_crisis"' in asked
        assert '"balanced":true' in asked
        assert "received = decided + pending (1 = 1 + 0)" in asked
        assert "whole" in "".join(typed(line) for line in look)
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=60)
    assert service.returncode in (0, -signal.SIGTERM)
