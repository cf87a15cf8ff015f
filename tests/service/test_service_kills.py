"""The service is killed under load, and ended in order: what was acknowledged is there, nothing is there twice, the rest is taken over."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest

from crisis_filter.store.opening import open_store
from crisis_filter.store.tables import messages
from tests.service.load import Load, Program, check
from tests.service.running import count, until


def killed(folder: Path, *, times: int, seed: int) -> tuple[int, Load]:
    """Start, load, kill, again and again on one store; then finish. Gives how many messages there are."""
    rng = np.random.default_rng(seed)
    program = Program(f"sqlite:///{folder / 'store.db'}", folder)
    load = Load(program)
    pending = 0
    try:
        program.start()
        with load:
            for _ in range(times):
                before = len(load.acknowledged)
                until(lambda before=before: len(load.acknowledged) > before + 5)
                time.sleep(float(rng.uniform(0, 0.3)))
                assert program.end("SIGKILL") == "SIGKILL"
                with open_store(program.url) as store:
                    pending += count(store, messages, messages.c.state == "pending")
                program.start(answering=False)
        program.await_ready()
        program.end("SIGKILL")
        program.start()
        load.finish()
        found = check(program, load)
        assert program.end("SIGTERM") == 0
    finally:
        program.close()
    assert set(load.acknowledged) == load.begun
    assert found == len(load.begun), "what came again is the same message"
    assert pending, "no kill met a message at work"
    sys.stdout.write(f"{times} kills: {found} messages, {pending} found pending after a kill, {dict(load.seen)}\n")
    return found, load


def test_killed_at_six_instants(tmp_path):
    killed(tmp_path, times=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_two_hundred_instants(tmp_path):
    killed(tmp_path, times=200, seed=2)


def test_what_nobody_asks_for_again_is_taken_over(tmp_path):
    """The sender is gone as well: its messages are decided all the same."""
    program = Program(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, judge_s=30.0)
    load = Load(program, connections=8, keys=False)
    try:
        program.start()
        with load:
            with open_store(program.url) as store:
                until(lambda: count(store, messages, messages.c.state == "pending") == 8)
            load.stop()
            program.end("SIGKILL")
        assert not load.acknowledged
        program._order["judge_s"] = 0.0
        program.start()
        assert check(program, load) == 8
        program.end("SIGTERM")
    finally:
        program.close()


def test_an_end_under_load(tmp_path):
    """Row 64 of the fault catalogue: first it says that it is ending, then it ends what is in work."""
    program = Program(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, judge_s=0.2, spec={"notice_s": 1.0})
    load = Load(program)
    try:
        pid = program.start()
        with load:
            until(lambda: len(load.acknowledged) > 40)
            os.kill(pid, signal.SIGTERM)
            told = []

            def ended():
                try:
                    told.append(httpx2.get(f"{program.address}/readyz", timeout=20.0, trust_env=False))
                except httpx2.TransportError:
                    return True
                return False

            until(ended)
            load.stop()
        assert program.end("SIGCONT") == 0  # it has ended by itself
        assert [answer.status_code for answer in told if answer.status_code != 200], "it said that it is ending"
        assert "service" in told[-1].json()["troubles"]
        assert set(load.seen) <= {"200", "503", "no answer"}
        assert load.seen["503"], "it refused while it was ending"
        with open_store(program.url) as store:
            assert not count(store, messages, messages.c.state == "pending"), "what was in work was done"
            assert count(store, messages) == len(load.acknowledged), "everything that was taken in was answered"
        check(program, load)
        assert not program.log.read_text()
    finally:
        program.close()
