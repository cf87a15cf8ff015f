"""Several processes on one port: all answer, one that is killed is started anew, and all end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from crisis_filter.store.api_keys import create, draw
from crisis_filter.store.records import SCOPES, Actor
from tests.service.desk_scenes import opened

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for children in /proc")


def ask(port, path, key=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def children(pid):
    numbers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(n) for n in numbers if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]


def until(met, seconds=60.0):
    for _ in range(int(seconds / 0.1)):
        try:
            if met():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError


def test_two_workers(tmp_path):
    made = draw()
    with opened(tmp_path) as store:
        by = Actor(id="test", tenant="clinic", scopes=frozenset(SCOPES))
        store.write(
            lambda connection: create(
                connection, by, made, tenant="clinic", name="test", scopes=SCOPES, now_ms=store.clock()
            )
        )
        url = store.url
    command = [sys.executable, "-m", "crisis_filter", "serve", "--store", url, "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert "2 workers" in line, line
        port = int(line.split("127.0.0.1:")[1].split()[0])
        until(lambda: ask(port, "/livez")["status"] == "alive")
        first = children(process.pid)
        assert len(first) == 2
        for n in range(10):
            body = {"text": "i want to end it tonight, ive written the letters", "id": f"m{n}"}
            (said,) = ask(port, "/v1/classify", made.presented, body)["results"]
            assert said["outcome"] == "crisis"
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(children(process.pid)) == 2 and first[0] not in children(process.pid))
        until(lambda: ask(port, "/readyz")["ready"])
        ledger = ask(port, "/v1/ledger", made.presented)
        assert ledger["balanced"]
        assert ledger["equations"][0]["left"] == 10
        last = children(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not any(Path(f"/proc/{number}").is_dir() for number in last)
        assert "started anew" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_workers_end_with_the_process_that_started_them(tmp_path):
    with opened(tmp_path) as store:
        url = store.url
    command = [sys.executable, "-m", "crisis_filter", "serve", "--store", url, "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = int(process.stderr.readline().split("127.0.0.1:")[1].split()[0])
        until(lambda: ask(port, "/livez")["status"] == "alive")
        left = children(process.pid)
        assert len(left) == 2
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    until(lambda: not any(Path(f"/proc/{number}").is_dir() for number in left))
