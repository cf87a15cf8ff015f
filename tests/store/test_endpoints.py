"""Receivers: known to their tenant alone, and their secrets sealed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from crisis_filter.errors import InputError
from crisis_filter.store.endpoints import (
    KINDS,
    change_secret,
    disable,
    enable,
    endpoint,
    endpoints_of,
    register,
    secrets_of,
)
from crisis_filter.store.keyring import SealError
from crisis_filter.store.opening import Store
from crisis_filter.store.rotate import reseal_endpoints
from crisis_filter.store.tables import endpoints, outbox
from tests.store.conftest import OpenStore
from tests.store.scenes import OTHER_KEYS, crisis, decided, quiet, received, taken, undetermined

URL = "https://hooks.example.com/canary-path"
SECRET = "whsec_Y2FuYXJ5LXNlY3JldA=="


def new(store: Store, name: str = "e1", tenant: str = "north", **more: Any) -> Any:
    given = {"tenant": tenant, "url": URL, "kinds": ["*"], "secrets": [SECRET], "now_ms": store.clock(), **more}
    return partial(register, keys=store.keys, endpoint_id=name, **given)


def test_a_receiver_is_its_tenants(store: Store) -> None:
    made = store.write(new(store))
    store.write(new(store, "e2", "south"))
    assert store.read(partial(endpoints_of, tenant="north")) == [made]
    assert store.read(partial(endpoint, tenant="north", endpoint_id="e1")) == made
    for function in (
        partial(endpoint, tenant="north", endpoint_id="e2"),
        partial(secrets_of, keys=store.keys, tenant="north", endpoint_id="e2"),
        partial(disable, tenant="north", endpoint_id="e2", why="operator", now_ms=0),
        partial(enable, tenant="north", endpoint_id="e2"),
        partial(change_secret, keys=store.keys, tenant="north", endpoint_id="e2", new=SECRET),
        partial(endpoint, tenant="north", endpoint_id="none"),
    ):
        with pytest.raises(InputError, match="no such endpoint"):
            store.write(function)


def test_written_twice_it_is_there_once(store: Store) -> None:
    """As after a commit whose answer was lost."""
    assert store.write(new(store)) == store.write(new(store))
    assert len(store.read(partial(endpoints_of, tenant="north"))) == 1


@pytest.mark.parametrize(
    "more", [{"kinds": []}, {"secrets": []}, {"kinds": ["assessment.crises"]}, {"kinds": ["crisis"]}]
)
def test_one_that_would_never_be_told_is_refused(store: Store, more: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        store.write(new(store, **more))


def test_secrets_are_sealed_and_bound_to_their_endpoint(store: Store, open_here: OpenStore) -> None:
    store.write(new(store))
    store.write(new(store, "e2"))
    bodies = store.read(lambda c: c.scalars(select(endpoints.c.secrets)).all())
    assert not any(b"whsec" in body or SECRET.encode() in body for body in bodies)
    assert store.read(partial(secrets_of, keys=store.keys, tenant="north", endpoint_id="e1")) == (SECRET,)
    moved = update(endpoints).where(endpoints.c.id == "e2").values(secrets=bodies[0])
    store.write(lambda c: c.execute(moved) and None)
    with pytest.raises(SealError):
        store.read(partial(secrets_of, keys=store.keys, tenant="north", endpoint_id="e2"))
    with pytest.raises(SealError):
        store.read(partial(secrets_of, keys=OTHER_KEYS, tenant="north", endpoint_id="e1"))


def test_nothing_secret_is_shown(store: Store) -> None:
    made = store.write(new(store))
    assert "canary" not in repr(made) + str(made)


def test_a_change_of_secret_keeps_the_one_before_and_no_more(store: Store) -> None:
    store.write(new(store, secrets=["whsec_MQ=="]))
    known = partial(secrets_of, keys=store.keys, tenant="north", endpoint_id="e1")
    change = partial(change_secret, keys=store.keys, tenant="north", endpoint_id="e1")
    for step, wanted in (
        ("whsec_Mg==", ("whsec_Mg==", "whsec_MQ==")),
        ("whsec_Mg==", ("whsec_Mg==", "whsec_MQ==")),  # run twice, as after a lost answer
        ("whsec_Mw==", ("whsec_Mw==", "whsec_Mg==")),
        (None, ("whsec_Mw==",)),
        (None, ("whsec_Mw==",)),
    ):
        store.write(partial(change, new=step))
        assert store.read(known) == wanted


def test_secrets_open_after_the_stores_keys_were_changed(store: Store) -> None:
    from crisis_filter.store.keyring import Keyring

    store.write(new(store))
    both = Keyring(current="k2", keys={**store.keys.keys, **OTHER_KEYS.keys}, pseudonym_key=b"p" * 32)
    assert store.write(partial(reseal_endpoints, keys=both)).resealed == 1
    assert store.read(partial(secrets_of, keys=OTHER_KEYS, tenant="north", endpoint_id="e1")) == (SECRET,)


def test_disabled_and_enabled(store: Store) -> None:
    store.write(new(store))
    at = store.clock()
    store.write(partial(disable, tenant="north", endpoint_id="e1", why="operator", now_ms=at))
    store.write(partial(disable, tenant="north", endpoint_id="e1", why="gone", now_ms=at + 5))
    found = store.read(partial(endpoint, tenant="north", endpoint_id="e1"))
    assert (found.disabled_ms, found.why_disabled) == (at, "operator")
    store.write(partial(enable, tenant="north", endpoint_id="e1"))
    found = store.read(partial(endpoint, tenant="north", endpoint_id="e1"))
    assert (found.disabled_ms, found.why_disabled) == (None, None)


def test_decisions_tell_those_who_asked_for_them(store: Store) -> None:
    """Each kind that an endpoint can be told of comes to one that asked for it alone, and to one that asked for all."""
    for kind in KINDS:
        store.write(new(store, kind, kinds=[kind]))
    store.write(new(store, "elsewhere", "south"))
    store.write(new(store, "off"))
    store.write(partial(disable, tenant="north", endpoint_id="off", why="operator", now_ms=store.clock()))
    messages = taken(store, *(received(number) for number in range(3)))
    for message, said in zip(messages, (crisis(), undetermined(), quiet()), strict=True):
        decided(store, message.message_id, said)
    told = store.read(lambda c: c.execute(select(outbox.c.endpoint_id, outbox.c.kind)).all())
    made = [kind for kind in KINDS if kind.startswith("assessment.")]
    assert sorted(map(tuple, told)) == sorted(pair for kind in made for pair in ((kind, kind), ("*", kind)))
