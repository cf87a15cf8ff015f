"""`crisis-filter demo` as a new user meets it: the real program, the real service, the real engine."""

from __future__ import annotations

import errno
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.cli.demo_tour import Tour
from crisis_filter.delivery.signing import new_secret
from crisis_filter.service.demo import demo_messages, open_demo
from tests.cli.conftest import program

MESSAGES = demo_messages()
RUN = 4


def words(text):
    return re.findall(r"\w+", text.casefold())


def told(text, said):
    """Whether four words in a row of a text stand in what was said."""
    of, whole = words(text), " ".join(words(said))
    return any(" ".join(of[at : at + RUN]) in whole for at in range(len(of) - RUN + 1))


@pytest.fixture
def started(tmp_path):
    """Starts the demo with its folder under tmp_path, whatever else the environment holds."""
    running = []

    def go(*more):
        env = {**os.environ, "COLUMNS": "80", "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        # What is set for other commands must not send these messages anywhere.
        env["CRISIS_FILTER_BACKEND"], env["CRISIS_FILTER_POLICY"] = "openai:some-model", "no-such-policy"
        process = subprocess.Popen(
            program("demo", "--port", "0", *more),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Where tests run in the background, signals from the keyboard may be ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        running.append(process)
        return process

    yield go
    for process in running:
        process.kill()
        process.communicate()


def test_the_tour(started, tmp_path):
    """All forty accounted for, the webhooks verified, the ledger balanced, and no text of a message on the screen."""
    out, err = (process := started("--once")).communicate(timeout=120)
    assert process.returncode == 0, err
    counts = [
        int(count) for count in re.findall(r"^ +(\d+) \S (?:crisis|undetermined|not crisis)  ", out, re.MULTILINE)
    ]
    assert sum(counts) == len(MESSAGES) == 40
    for one in MESSAGES:
        assert len(re.findall(rf"\b{one.id}\b", out)) == 1
    alarms = sum(counts[:-1])
    assert f"{alarms} of {alarms} at a receiver of our own: signatures verified" in out
    assert out.count("holds: ") == 8
    assert "received = decided + pending (40 = 40 + 0)" in out
    assert f"outbox = pending + delivered + dead ({alarms} = 0 + {alarms} + 0)" in out
    assert "nothing was judged twice" in " ".join(out.split())
    assert "unvalidated language" in out
    assert "empty content" in out
    assert not [one.id for one in MESSAGES if told(one.text, out + err)]
    assert max(map(len, out.splitlines())) <= 80
    assert list(tmp_path.glob("crisis-filter-demo-*")) == []


def test_what_does_not_add_up_is_said():
    """Webhooks whose signature is wrong: the tour goes on, says so, and is not whole."""
    some = (MESSAGES[6], *MESSAGES[-2:])
    shown = io.StringIO()
    with open_demo(some, 0) as opened:
        opened.receiver.secret = new_secret()
        tour = Tour(opened, some, Console(file=shown, width=80), show_texts=True)
        assert not tour.follow()
        tour.leave()
    out = " ".join(shown.getvalue().split())
    assert "2 of 2 arrived at a receiver of our own, 0 of them signed" in out
    assert "i cant do this any more." in out
    assert "received = decided + pending (3 = 3 + 0)" in out
    assert f"export URL={opened.url} " in out


def test_it_stays_up_and_ends_as_asked(started, tmp_path):
    """With what it prints anybody can ask it; each webhook is shown as it comes; Ctrl-C ends it and nothing is left."""
    process = started("--show-texts")
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()

    def until(found):
        deadline = time.monotonic() + 120
        while not any(line.startswith(found) for line in lines):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)

    until("  docs/service.md")
    said = "".join(lines)
    assert [one.id for one in MESSAGES if told(one.text, said)]
    (port,) = re.findall(r"^export URL=http://127\.0\.0\.1:(\d+)$", said, re.MULTILINE)
    (key,) = re.findall(r"^export KEY=(\S+)$", said, re.MULTILINE)
    (given,) = re.findall(r"-d '(\{.*\})'$", said, re.MULTILINE)
    asked = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    asked.request("POST", "/v1/classify", given, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    answer = asked.getresponse()
    (result,) = json.loads(answer.read())["results"]
    asked.close()
    assert result["outcome"] == "crisis"
    until("webhook: ")
    (line,) = [line for line in lines if line.startswith("webhook: ")]
    assert line == f"webhook: assessment.crisis, {result['disposition']['urgency']}, clinical; signature verified\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    reader.join(10)
    assert list(tmp_path.glob("crisis-filter-demo-*")) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


def test_stopped_half_way(started, tmp_path):
    """A signal in the middle of the tour ends the one process there is, and its folder goes."""
    process = started()
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("crisis-filter-demo-*/store.db")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "stopped"
    assert list(tmp_path.glob("crisis-filter-demo-*")) == []


def test_a_port_that_is_taken():
    """One line, before anything is loaded or made."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = CliRunner().invoke(app, ["demo", "--once", "--port", str(port)])
    assert done.exit_code == 5
    assert done.stdout == ""
    assert (
        done.stderr
        == f"starting ...\ncrisis-filter: --port {port}: {os.strerror(errno.EADDRINUSE)}; --port 0 takes a free one\n"
    )


def test_without_the_packages_of_the_service():
    """One line that says what to install."""
    code = (
        "import sys; sys.modules['fastapi'] = None; from crisis_filter.cli import main; sys.argv[1:] = ['demo']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 5
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "fastapi" in done.stderr
    assert "pip install 'crisis-filter[service]'" in done.stderr
