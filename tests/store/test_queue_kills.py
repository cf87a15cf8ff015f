"""Readers in processes of their own, some of which die: every item is decided once, and what was told to be decided is."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from sqlalchemy import select

from crisis_filter.store.audit_verify import verify
from crisis_filter.store.ledger import ledger
from crisis_filter.store.opening import Store, now_ms
from crisis_filter.store.tables import items, readings
from tests.store.queue_scene import Scene

ITEMS = 24
DEATHS = [
    ("queue:claim", 2),
    ("queue:decide", 1),
    ("nowhere", 1),
]


def worker(url: str, number: int, point: str, after: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.store.queue_worker", url, f"w{number}", point, str(after)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_some_die_and_the_others_finish(store: Store, store_address: str) -> None:
    scene = Scene(store, now=now_ms())
    for number in range(ITEMS):
        scene.put(score=number / ITEMS, second=number % 4 == 0)
    workers = [worker(store_address, number, *death) for number, death in enumerate(DEATHS)]
    said = [one.communicate(timeout=200)[0].splitlines() for one in workers]
    assert [one.returncode for one in workers] == [-9, -9, 0]
    last = worker(store_address, 99, "nowhere", 1)
    said.append(last.communicate(timeout=200)[0].splitlines())
    told = Counter(line.split()[1] for lines in said for line in lines if line.startswith("decided"))
    rows = scene.read(lambda c: c.execute(select(readings.c.item_id)).scalars().all())
    read = Counter(rows)
    states = scene.read(lambda c: c.execute(select(items.c.id, items.c.state)).all())
    assert {state for _, state in states} == {"done"}
    assert set(read.values()) == {1}
    assert len(read) == ITEMS + ITEMS // 4
    assert set(told) <= set(read)
    assert max(told.values()) == 1
    assert scene.read(ledger).balanced
    assert scene.read(verify).flaw is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random(store: Store, store_address: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # when to kill is no secret
    scene = Scene(store, now=now_ms())
    for number in range(ITEMS):
        scene.put(score=number / ITEMS, second=number % 3 == 0)
    for number in range(4):
        one = worker(store_address, number, "nowhere", 1)
        assert one.stdout is not None
        one.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.4))
        one.kill()
        one.communicate()
    for number in (90, 91):
        worker(store_address, number, "nowhere", 1).communicate(timeout=200)
    rows = scene.read(lambda c: c.execute(select(readings.c.item_id)).scalars().all())
    assert set(Counter(rows).values()) == {1}
    assert len(rows) == ITEMS + ITEMS // 3
    assert scene.read(ledger).balanced
