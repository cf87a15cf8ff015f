"""After an outage what it left open is judged again, and nobody's work is undone."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment, Finding
from crisis_filter.service.rejudging import Rejudging
from crisis_filter.store.ledger import ledger
from crisis_filter.store.tables import decisions, items, messages
from tests.service.desk_scenes import ROUTER, desk, opened, received, said


class Endpoint:
    """Fails until it is healed; then the first word of a text is the verdict."""

    def __init__(self) -> None:
        self.healed = False
        self.asked = 0

    async def __call__(self, message) -> Assessment:
        self.asked += 1
        if self.healed:
            return said(message)
        return said(message.model_copy(update={"text": "else"}))


@pytest.fixture
def now():
    return [1_000_000_000]


@pytest.fixture
def store(tmp_path, now):
    with opened(tmp_path, clock=lambda: now[0]) as store:
        yield store


async def outage(store, *texts):
    endpoint = Endpoint()
    await desk(store, endpoint).receive([received(text) for text in texts])
    endpoint.asked = 0
    return endpoint, Rejudging(store, endpoint, ROUTER, worker="again", lease_ms=1000)


def standing(store):
    newest = (decisions.c.message_id == messages.c.id) & (decisions.c.revision == messages.c.revision)
    asked = select(decisions.c.outcome, messages.c.revision).join(messages, newest).order_by(messages.c.id)
    return store.read(lambda connection: [tuple(row) for row in connection.execute(asked)])


def states(store):
    return store.read(
        lambda connection: list(connection.execute(select(items.c.state).order_by(items.c.message_id)).scalars())
    )


async def test_while_nothing_has_healed_two_are_asked_about_and_nothing_changes(store, now):
    endpoint, again = await outage(store, *["calm"] * 6)
    assert not await again.again()
    assert endpoint.asked == 2
    assert standing(store) == [("undetermined", 1)] * 6
    # The same two are not asked about at once, so that one message that always fails holds up no other.
    assert not await again.again()
    assert endpoint.asked == 4


async def test_when_it_heals_all_are_settled(store, now):
    endpoint, again = await outage(store, "calm day", "crisis here", "calm", "calm", "crisis")
    endpoint.healed = True
    while await again.again():
        pass
    assert standing(store) == [
        ("no_crisis", 2),
        ("crisis", 2),
        ("no_crisis", 2),
        ("no_crisis", 2),
        ("crisis", 2),
    ]
    assert states(store) == ["settled", "waiting", "settled", "settled", "waiting"]
    assert again.settled == 5
    assert store.read(ledger).balanced


async def test_what_somebody_has_before_them_is_left_alone(store, now):
    endpoint, again = await outage(store, "calm", "calm")
    store.write(
        lambda connection: connection.execute(
            update(items).values(state="claimed", claimed_by="x", claim_until_ms=2**40)
        )
    )
    endpoint.healed = True
    assert not await again.again()
    assert endpoint.asked == 0
    assert standing(store) == [("undetermined", 1)] * 2


async def test_two_processes_judge_no_message_twice(store, now):
    endpoint, again = await outage(store, *["calm"] * 12)
    endpoint.healed = True
    other = Rejudging(store, endpoint, ROUTER, worker="other", lease_ms=1000)
    await asyncio.gather(again.again(), other.again())
    await asyncio.gather(again.again(), other.again())
    assert endpoint.asked == 12
    assert again.settled + other.settled == 12
    assert standing(store) == [("no_crisis", 2)] * 12


async def test_what_cannot_settle_holds_up_no_other(store, now):
    """A crisis that the stand-in raised is never lowered, and looks most urgent of all; many of those come before everything else."""

    async def stand_in(message):
        said_so = said(message.model_copy(update={"text": "crisis"}))
        return said_so.model_copy(update={"fault": Fault.TIMEOUT, "findings": (Finding(category="unspecified"),)})

    await desk(store, stand_in).receive([received("calm") for _ in range(20)])
    endpoint, again = await outage(store, *["calm"] * 6)
    endpoint.healed = True
    for _ in range(3):
        while await again.again():
            pass
        now[0] += 500
    assert again.settled == 6
    assert sorted(standing(store)) == [("crisis", 1)] * 20 + [("no_crisis", 2)] * 6
    assert endpoint.asked == 26
