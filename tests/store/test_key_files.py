"""Files of keys are made for their owner alone, never written over, and lose no key that something lies under."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import stat

import pytest

from crisis_filter.errors import ConfigurationError
from crisis_filter.store.key_files import add_key, choose_key, drop_keys, keyring_beside, make_keys
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import open_store
from tests.store.trust import ring

ENTROPY = secrets.token_bytes


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_made_once_for_its_owner(tmp_path):
    path = tmp_path / "keys.toml"
    made = make_keys(path, entropy=ENTROPY)
    assert Keyring.from_toml(path) == made
    assert mode(path) == 0o600
    with pytest.raises(ConfigurationError, match="never written over"):
        make_keys(path, entropy=ENTROPY)
    assert Keyring.from_toml(path) == made
    assert [p.name for p in tmp_path.iterdir()] == ["keys.toml"]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        make_keys(tmp_path / "none" / "keys.toml", entropy=ENTROPY)


def test_keys_come_and_go(tmp_path):
    path = tmp_path / "keys.toml"
    first = make_keys(path, entropy=ENTROPY)
    context = b"c"
    sealed = first.seal(b"x", context=context)
    second = add_key(path, entropy=ENTROPY)
    assert second.current != first.current
    assert second.open(*sealed, context=context) == b"x"
    third = add_key(path, entropy=ENTROPY, later=True)
    assert (third.current, len(third.keys)) == (second.current, 3)
    newest = next(iter(third.keys.keys() - second.keys.keys()))
    assert choose_key(path, newest).current == newest
    with pytest.raises(ConfigurationError, match="not among"):
        choose_key(path, "none")
    assert first.current is not None
    assert drop_keys(path, frozenset({first.current})) == (second.current,)
    with pytest.raises(ConfigurationError, match="lacks"):
        drop_keys(path, frozenset({"gone"}))
    assert drop_keys(path, frozenset()) == (first.current,)
    assert drop_keys(path, frozenset()) == ()
    left = Keyring.from_toml(path)
    assert (left.current, set(left.keys), left.pseudonym_key) == (newest, {newest}, first.pseudonym_key)
    assert mode(path) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["keys.toml"]


def test_a_key_beside_an_sqlite_file_is_made_once(tmp_path):
    database = tmp_path / "store.db"
    made = keyring_beside(database, entropy=ENTROPY)
    assert keyring_beside(database, entropy=ENTROPY) == made
    path = tmp_path / "store.db.pseudonyms"
    assert mode(path) == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keyring_beside(database, entropy=ENTROPY)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="no key for pseudonyms"):
        keyring_beside(database, entropy=ENTROPY)
    with pytest.raises(ConfigurationError, match="cannot be made"):
        keyring_beside(tmp_path / "none" / "store.db", entropy=ENTROPY)


def test_a_store_that_was_begun_without_keys_gets_some(tmp_path):
    """Under which its ids stay what they were."""
    database = tmp_path / "store.db"
    open_store(f"sqlite:///{database}").close()
    made = make_keys(tmp_path / "keys.toml", entropy=ENTROPY, begun=database)
    assert made.fingerprint() == keyring_beside(database, entropy=ENTROPY).fingerprint()
    open_store(f"sqlite:///{database}", keys=made).close()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        make_keys(tmp_path / "more.toml", entropy=ENTROPY, begun=tmp_path / "none.db")
    assert not (tmp_path / "more.toml").exists()


def _fingerprint(database) -> str:
    return keyring_beside(database, entropy=ENTROPY).fingerprint()


def test_processes_that_begin_at_once_have_one_key(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(_fingerprint, [tmp_path / "store.db"] * 16, chunksize=1)
    assert len(set(found)) == 1


def test_a_store_keeps_to_its_key_for_pseudonyms(store_address):
    """With another one the same message would be taken for a new one. The keys that seal may change."""
    for keys in (ring("a"), ring("a", "b"), ring("b")):
        open_store(store_address, keys=keys).close()
    with pytest.raises(ConfigurationError, match="begun with"):
        open_store(store_address, keys=Keyring.unsealed(b"q" * 32))
    open_store(store_address, keys=Keyring.unsealed(b"p" * 32)).close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "keys.toml"
    make_keys(path, entropy=ENTROPY)
    path.chmod(0)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Keyring.from_toml(path)
