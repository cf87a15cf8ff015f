"""Everything comes under the new key while the store is in use, whenever it is stopped; then the old one can go."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, update

from crisis_filter.errors import ConfigurationError
from crisis_filter.store.intake import works
from crisis_filter.store.keyring import Keyring, sealing_context
from crisis_filter.store.opening import open_store
from crisis_filter.store.rotate import keys_in_use, reseal_texts, rotate
from crisis_filter.store.tables import audit, endpoints, texts
from tests.store import trust
from tests.store.trust import CANARY, LEAD, TEXT, World, disk, ring

clock, open_world, world = trust.clock, trust.open_world, trust.world


def reopened(world: World, keys: Keyring) -> World:
    """The same store, as the next process opens it."""
    return World(open_store(world.url, keys=keys, clock=world.clock), world.clock, count=1000)


def text_of(world: World, message_id: str) -> str:
    (work,) = world.store.read(lambda c: works(c, world.store, [message_id]))
    return work.message.text


def test_all_comes_under_the_new_key_and_opens_as_before(open_world):
    old = open_world(keys=ring("old"))
    old.endpoint()
    ids = [old.message(text=f"{TEXT} {n}") for n in range(7)]
    assert old.store.read(keys_in_use) == {"old": 22}
    with reopened(old, ring("old", "new")).store as store:
        new = World(store, old.clock)
        done = rotate(store, LEAD, limit=4)
        assert (done.resealed, done.unopened) == (22, [])
        assert store.read(keys_in_use) == {"new": 22}
        assert rotate(store, LEAD).resealed == 0
        assert [text_of(new, i) for i in ids] == [f"{TEXT} {n}" for n in range(7)]
    with reopened(old, ring("new")).store as store:
        new = World(store, old.clock)
        assert text_of(new, ids[3]) == f"{TEXT} 3"
        row = store.read(lambda c: c.execute(select(endpoints)).one())
        context = sealing_context("clinic", "e1", "endpoint")
        assert store.keys.open(row.key_id, row.secrets, context=context) == b'["whsec_x"]'
        assert store.read(lambda c: c.scalars(select(audit.c.object)).all()) == ["key:new"] * 2


def test_what_lay_open_is_sealed(tmp_path, open_world):
    world = open_world(keys=Keyring.unsealed(b"p" * 32))
    world.message()
    assert world.store.read(keys_in_use) == {None: 3}
    with reopened(world, ring("a")).store as store:
        assert rotate(store, LEAD).resealed == 3
        assert store.read(keys_in_use) == {"a": 3}


def test_a_ring_without_a_key_seals_nothing(open_world):
    world = open_world(keys=Keyring.unsealed(b"p" * 32))
    with pytest.raises(ConfigurationError, match="keygen"):
        rotate(world.store, LEAD)


def test_what_does_not_open_is_left_and_named(open_world):
    """A body that was altered, or whose key is lost, holds up nothing else."""
    world = open_world(keys=ring("old"))
    ids = [world.receive() for _ in range(5)]
    world.store.write(lambda c: c.execute(update(texts).where(texts.c.message_id == ids[1]).values(body=b"spoilt")))
    world.store.write(lambda c: c.execute(update(texts).where(texts.c.message_id == ids[3]).values(key_id="lost")))
    with reopened(world, ring("old", "new")).store as store:
        done = rotate(store, LEAD, limit=2)
        assert (done.resealed, done.unopened) == (3, sorted(f"{i}/message/0" for i in (ids[1], ids[3])))
        assert store.read(keys_in_use) == {"new": 3, "old": 1, "lost": 1}
        assert store.read(lambda c: c.scalar(select(audit.c.result))) == "failed"


def test_a_rotation_that_was_stopped_is_gone_on_with(open_world):
    """After any batch; nothing is sealed twice."""
    world = open_world(keys=ring("old"))
    for _ in range(9):
        world.receive()
    both = ring("old", "new")
    world.store.write(lambda c: reseal_texts(c, both, None, 4))
    assert world.store.read(keys_in_use) == {"old": 5, "new": 4}
    with reopened(world, both).store as store:
        assert rotate(store, LEAD, limit=2).resealed == 5
        assert store.read(keys_in_use) == {"new": 9}


def test_rotation_goes_on_beside_writers_and_readers(open_world):
    """Every text opens at every moment, and what is written meanwhile lies under the new key."""
    before = open_world(keys=ring("old"))
    ids = [before.receive() for _ in range(60)]
    with reopened(before, ring("old", "new")).store as store:
        world, stop, read = World(store, before.clock, count=5000), threading.Event(), []

        def use() -> None:
            while not stop.is_set():
                ids.append(world.receive())
                read.extend(text_of(world, i) for i in (ids[len(read) % 60], ids[-1]))

        thread = threading.Thread(target=use)
        thread.start()
        try:
            while not read:
                pass
            assert rotate(store, LEAD, limit=5).resealed == 60
        finally:
            stop.set()
            thread.join()
        assert set(read) == {TEXT}
        assert store.read(keys_in_use) == {"new": len(ids)}


def test_no_text_lies_open_under_a_key(tmp_path, clock):
    """In the file, the log, or any page that a rotation leaves."""
    for keys in (ring("old"), ring("old", "new")):
        with open_store(f"sqlite:///{tmp_path}/store.db", keys=keys, clock=clock) as store:
            world = World(store, clock, count=len(keys.keys) * 100)
            for _ in range(20):
                world.message()
            rotate(store, LEAD)
            assert CANARY.encode() not in disk(tmp_path)
