"""A key opens what it was made for, until it is revoked or over; whoever guesses hears nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from crisis_filter.errors import InputError, StoreError
from crisis_filter.store import api_keys as module
from crisis_filter.store.api_keys import GrantCache, authenticate, create, draw, listed, revoke
from crisis_filter.store.records import SCOPES
from crisis_filter.store.tables import api_keys, audit
from tests.store.trust import LEAD, NOW, disk
from tests.strategies import texts


def made(store, **more):
    new = draw()
    asked = {"tenant": "clinic", "name": "portal", "scopes": {"classify"}, "now_ms": NOW, **more}
    store.write(lambda c: create(c, LEAD, new, **asked))
    return new


def granted(store, presented, now_ms=NOW):
    return store.read(lambda c: authenticate(c, presented, now_ms))


def test_a_key_grants_what_it_was_made_for(store):
    new = made(store, scopes={"review", "text"}, per_minute=60, expires_ms=NOW + 1000)
    found = store.read(lambda c: authenticate(c, new.presented, NOW, origin="10.0.0.7"))
    assert (found.actor.id, found.actor.tenant, found.actor.origin) == (f"key:{new.id}", "clinic", "10.0.0.7")
    assert (found.actor.scopes, found.per_minute) == (frozenset({"review", "text"}), 60)
    assert granted(store, new.presented, NOW + 999) is not None
    assert granted(store, new.presented, NOW + 1000) is None


def test_a_secret_is_nowhere_but_with_its_holder(store, tmp_path):
    new = made(store)
    secret = new.presented.split(".")[1]
    assert len(secret) == 43
    assert secret not in repr(new)
    assert secret not in str(store.read(listed))
    assert secret.encode() not in disk(tmp_path)
    assert len({draw().presented for _ in range(100)}) == 100


def test_a_revoked_key_grants_nothing(store):
    new, other = made(store), made(store, tenant="other")
    assert store.write(lambda c: revoke(c, LEAD, new.id, now_ms=NOW + 5))
    assert store.write(lambda c: revoke(c, LEAD, new.id, now_ms=NOW + 9))
    assert not store.write(lambda c: revoke(c, LEAD, "00000000", now_ms=NOW))
    assert not store.write(lambda c: revoke(c, LEAD, other.id, now_ms=NOW, tenant="clinic"))
    assert (granted(store, new.presented), granted(store, other.presented) is None) == (None, False)
    assert [(key.id, key.revoked_ms) for key in store.read(lambda c: listed(c, tenant="clinic"))] == [(new.id, NOW + 5)]
    actions = store.read(lambda c: c.execute(select(audit.c.action, audit.c.object).order_by(audit.c.seq)).all())
    assert [tuple(row) for row in actions] == [
        ("key_create", f"api_key:{new.id}"),
        ("key_create", f"api_key:{other.id}"),
        ("key_revoke", f"api_key:{new.id}"),
    ]


@given(garbage=st.one_of(texts, st.from_regex(r"[0-9a-f]{8}\.[A-Za-z0-9_-]{43}", fullmatch=True)))
def test_a_guess_grants_nothing(shared, garbage):
    assert granted(shared[0], garbage) is None


@given(at=st.integers(0, 51), letter=st.sampled_from("0123456789abcdefXYZ_-. \n"))
def test_a_key_with_one_letter_changed_grants_nothing(shared, at, letter):
    store, new = shared
    changed = new.presented[:at] + letter + new.presented[at + 1 :]
    assert (granted(store, changed) is None) == (changed != new.presented)


def test_every_refusal_asks_and_compares_the_same(store, monkeypatch):
    """One query and one comparison, whether there is such a key or not."""
    known, gone, over = made(store), made(store), made(store, expires_ms=NOW + 1)
    store.write(lambda c: revoke(c, LEAD, gone.id, now_ms=NOW))
    wrong = f"{known.id}.{'A' * 43}"
    unknown = f"ffffffff.{'A' * 43}"
    counted = []
    compare = module.hmac.compare_digest
    monkeypatch.setattr(module.hmac, "compare_digest", lambda a, b: counted.append((len(a), len(b))) or compare(a, b))
    for presented in (wrong, unknown, gone.presented, over.presented, "", "no key"):
        assert granted(store, presented, NOW + 1) is None
    assert counted == [(64, 64)] * 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ()},
        {"scopes": {"everything"}},
        {"name": ""},
        {"name": "a\nb"},
        {"tenant": "x" * 129},
        {"per_minute": 0},
        {"expires_ms": NOW},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(store, wrong):
    with pytest.raises(InputError):
        made(store, **wrong)
    assert store.read(listed) == ()


def test_a_key_is_made_once_also_where_its_commit_was_not_heard_of(store):
    """Functions of the writer may be run twice."""
    new = draw()
    for _ in range(2):
        store.write(lambda c: create(c, LEAD, new, tenant="t", name="n", scopes=SCOPES, now_ms=NOW))
    assert [key.id for key in store.read(listed)] == [new.id]
    clash = draw(lambda n: bytes.fromhex(new.id) if n == 4 else b"z" * n)
    with pytest.raises(StoreError, match="taken"):
        store.write(lambda c: create(c, LEAD, clash, tenant="t", name="n", scopes=SCOPES, now_ms=NOW))


def test_a_scope_of_another_version_grants_nothing(store):
    new = made(store)
    store.write(lambda c: c.execute(update(api_keys).values(scopes='["classify", "fly"]')))
    assert granted(store, new.presented).actor.scopes == {"classify"}


class Asked:
    """The store behind a cache, and what it was asked."""

    def __init__(self, store) -> None:
        self.store, self.times, self.now = store, 0, NOW

    def __call__(self, presented, now_ms):
        self.times += 1
        return granted(self.store, presented, now_ms)

    def clock(self) -> int:
        return self.now


def test_a_cache_asks_once_in_five_seconds_and_sees_a_revocation_by_then(store):
    asked = Asked(store)
    cache = GrantCache(asked, asked.clock)
    new = made(store, expires_ms=NOW + 60_000)
    assert cache.recall(new.presented) is None
    for _ in range(10):
        assert cache.grant(new.presented) is not None
    assert asked.times == 1
    store.write(lambda c: revoke(c, LEAD, new.id, now_ms=NOW))
    asked.now += 4999
    assert cache.grant(new.presented) is not None
    asked.now += 1
    assert cache.grant(new.presented) is None
    assert new.presented not in repr(cache)


def test_a_cache_ends_with_the_key_and_not_with_a_clock_set_back(store):
    asked = Asked(store)
    cache = GrantCache(asked, asked.clock)
    new = made(store, expires_ms=NOW + 100)
    assert cache.grant(new.presented) is not None
    asked.now -= 3600_000
    store.write(lambda c: revoke(c, LEAD, new.id, now_ms=NOW))
    assert cache.grant(new.presented) is None
    other = made(store, expires_ms=NOW + 100)
    asked.now = NOW
    assert cache.grant(other.presented) is not None
    asked.now = NOW + 100
    assert cache.grant(other.presented) is None


def test_guesses_push_nobody_out_of_a_cache(store):
    asked = Asked(store)
    cache = GrantCache(asked, asked.clock, most=2)
    keys = [made(store) for _ in range(3)]
    for new in keys[:2]:
        cache.grant(new.presented)
    for guess in range(50):
        assert cache.grant(f"{guess:08x}.{'A' * 43}") is None
    assert cache.recall(keys[0].presented) is not None
    cache.grant(keys[2].presented)
    assert [cache.recall(new.presented) is not None for new in keys] == [False, True, True]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store that is only read, and a key in it."""
    from crisis_filter.store.opening import open_store

    with open_store(f"sqlite:///{tmp_path_factory.mktemp('shared')}/store.db") as opened:
        yield opened, made(opened)
