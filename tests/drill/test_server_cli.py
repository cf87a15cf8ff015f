"""`crisis-filter faults`: the list, the server as a process, its end by a signal, and wrong options."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.drill.behaviours import BEHAVIOURS
from crisis_filter.drill.plans import parse_plan
from crisis_filter.drill.toxics import TOXICS
from tests.drill.talking import CRISIS, ORDINARY, Got, chat, get, post, said


@contextmanager
def served(*options: str, end: signal.Signals = signal.SIGTERM) -> Iterator[int]:
    """The port of the program as a process of its own, which ends as a shell expects of that signal."""
    command = [sys.executable, "-m", "crisis_filter", "faults", "serve", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["base_url"]
            assert url.startswith("http://127.0.0.1:")
            yield int(url.removesuffix("/v1").rpartition(":")[2])
        finally:
            process.send_signal(end)
            _, err = process.communicate(timeout=20)
    assert err.splitlines() == [f"serving faults at {url}", "stopped"]
    assert process.returncode == 128 + end


def asked(port: int, request: bytes) -> Got:
    return asyncio.run(said(port, request))


def test_the_list_names_every_fault() -> None:
    """As a table, and as JSON with all there is to know."""
    table = CliRunner().invoke(app, ["faults", "list"]).stdout
    rows = [json.loads(line) for line in CliRunner().invoke(app, ["faults", "list", "--json"]).stdout.splitlines()]
    assert [row["name"] for row in rows] == list(BEHAVIOURS)
    assert all(name in table for name in BEHAVIOURS)
    assert {row["fault"] for row in rows} == {b.fault for b in BEHAVIOURS.values()}


def test_a_served_fault_and_a_served_oracle(tmp_path: Path) -> None:
    """The first request goes wrong, the others are answered by the labels of a file in the words of the client."""
    path = tmp_path / "messages.jsonl"
    rows = [{"text": CRISIS, "crisis": True}, {"text": ORDINARY, "crisis": False}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = ["--fault", "http_503", "--first", "1", "--messages", str(path), "--answers", "safe-unsafe"]
    with served(*options, end=signal.SIGINT) as port:
        assert asked(port, post(chat(ORDINARY))).status == 503
        answers = [asked(port, post(chat(text))).content for text in (ORDINARY, CRISIS, "who knows")]
        counted = asked(port, get("/_faults")).json
    assert answers == ["safe", "unsafe\nS11", "unsafe\nS11"]
    assert counted["by_behaviour"] == {"http_503": 1, "none": 3}


def test_served_rates_and_toxics() -> None:
    """Behind a proxy that delays, every request gets the fault that has the whole share."""
    with served("--rate", "html_200=1", "--tcp", "latency:latency=30", "--latency-ms", "5") as port:
        got = asked(port, post(chat()))
    assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--fault", "no_such_fault"], 5),
        (["--rate", "http_500"], 5),
        (["--rate", "http_500=2"], 5),
        (["--rate", "no_such_fault=0.1"], 5),
        (["--rate", "http_500=0.1", "--fault", "http_500"], 5),
        (["--first", "3"], 5),
        (["--answers", "maybe"], 5),
        (["--tcp", "lag"], 5),
        (["--messages", "/nonexistent/messages.jsonl"], 2),
        (["--host", "192.0.2.1"], 5),
        (["--port", "99999"], 2),
    ],
)
def test_wrong_options_are_told_in_a_line(options: list[str], status: int) -> None:
    """With the exit status of the kind of mistake, before anything is served."""
    ran = CliRunner().invoke(app, ["faults", "serve", *options])
    assert (ran.exit_code, ran.stdout) == (status, "")
    assert "Traceback" not in ran.stderr
    assert "serving" not in ran.stderr
    assert ran.stderr.strip()


PAGE = (Path(__file__).parents[2] / "docs" / "fault-server.md").read_text(encoding="utf-8")


def test_the_page_names_every_option_and_every_toxic() -> None:
    """And no option that is not there."""
    (serve,) = (c for c in get_command(app).commands["faults"].commands.values() if c.name == "serve")
    options = {o for p in serve.params for o in p.opts if o.startswith("--")}
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE))
    assert shown - {"--backend", "--base-url"} == options - {"--help"}
    assert set(re.findall(r"^\| `(\w+):\w+=", PAGE, re.MULTILINE)) == set(TOXICS)


def test_the_plans_of_the_page_are_plans() -> None:
    """Every JSON object in the table of plans is taken."""
    plans = re.findall(r'^\| `(\{"(?:always|first|sequence|rate|flapping)".*?)` \|', PAGE, re.MULTILINE)
    assert len(plans) == 5
    for each in plans:
        assert parse_plan(json.loads(each)).names


def test_the_python_of_the_page_runs() -> None:
    """Offline as it stands, and nothing is cleared."""
    code = PAGE.split("```python\n", 1)[1].split("```", 1)[0]
    out = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert out.stdout.startswith("20 messages, 0 cleared in silence; {")
