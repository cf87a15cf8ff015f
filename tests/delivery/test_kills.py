"""Couriers that are killed: what was sent and not marked is sent again under the same id, and the receiver of the recipe counts it once."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.delivery.receiver import Receiver
from tests.delivery.test_recipe import recipe

ROOT = Path(__file__).parent.parent.parent


class Consumer(Receiver):
    """Takes webhooks in as the recipe in the documentation does."""

    def begin(self, secret):
        self.take, self.acted = recipe()
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY)")
        self.statuses = []
        self.secret = secret

        def behave(number):
            got = self.got[number]
            self.statuses.append(self.take(self.database, self.secret, got.headers, got.body))
            return "ok" if self.statuses[-1] == 204 else "404"

        self.behave = behave


async def start(box, *arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.delivery.courier_process",
        box.address,
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def ended(box, *arguments):
    process = await start(box, *arguments)
    await process.communicate()
    return process.returncode


def check(box, receiver, ids):
    assert box.states() == {"delivered": len(ids)}
    assert set(receiver.ids) == set(ids)
    assert set(receiver.statuses) == {204}
    assert sorted(event["id"] for event in receiver.acted) == ids


@pytest.mark.parametrize(("point", "again"), [("outbox:leased", 0), ("outbox:sent", 1), ("outbox:marked", 0)])
async def test_killed_at_each_point(box, point, again):
    """Between sending and marking the webhook comes twice, with one id and one body; elsewhere nothing comes twice."""
    async with Consumer() as receiver:
        receiver.begin(box.endpoint(receiver.url())[0])
        ids = box.put(9)
        assert await ended(box, point, "2") == -9
        assert box.states().get("delivered", 0) < len(ids)
        assert await ended(box) == 0
        check(box, receiver, ids)
        times = Counter(receiver.ids)
        assert sum(times.values()) - len(ids) >= again
        if point == "outbox:leased":
            # Others of the first lease may have been on their way when the second was taken.
            assert sum(times.values()) - len(ids) <= 3
        bodies = {(got.id, got.body) for got in receiver.got}
        assert len(bodies) == len(ids)


async def test_killed_at_any_instant(box):
    await kills_at_random(box, kills=2, rows=40)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_killed_at_very_many_instants(box):
    await kills_at_random(box, kills=200, rows=3000)


async def kills_at_random(box, *, kills, rows):
    rng = np.random.default_rng(3)
    async with Consumer() as receiver:
        receiver.begin(box.endpoint(receiver.url())[0])
        ids = box.put(rows)
        met = 0
        for _ in range(kills):
            process = await start(box)
            await process.stdout.readline()
            await asyncio.sleep(float(rng.uniform(0.0, 0.15)))
            if process.returncode is None:
                process.kill()
                met += 1
            await process.communicate()
        assert met
        assert await ended(box) == 0
        check(box, receiver, ids)
