"""Files of keys: making them, adding a key, choosing the one that seals, and the one that lies beside an SQLite file.

Even a store that seals nothing needs a key for pseudonyms, and must find the same one at every start. Beside an SQLite file one is made at the
first opening, in a file of its own: a copy of the database alone, in a backup or sent to somebody, then gives away no telephone number.
With PostgreSQL there is no such place: several machines share it, a key inside would go along with every dump, and two services with two keys
would take the same message for two; so there a file of keys has to be given.
"""

from __future__ import annotations

import base64
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, select

from crisis_filter.errors import ConfigurationError
from crisis_filter.store.keyring import KEY_BYTES, Keyring, read_private
from crisis_filter.store.records import Entropy
from crisis_filter.store.statements import insert_new
from crisis_filter.store.tables import facts

__all__ = ["add_key", "choose_key", "drop_keys", "keep_to_keys", "keyring_beside", "make_keys"]

_HEAD = """\
# The keys of a crisis-filter store. Whoever has this file and the database can read every text; who has lost it, none.
# Keep a copy apart from the backups of the database. `pseudonyms` is for good: with another one, ids are not known again.
"""
_FACT = "pseudonym_key"


def make_keys(path: Path, *, entropy: Entropy, begun: Path | None = None) -> Keyring:
    """A new file with one key and a key for pseudonyms, for its owner's eyes only.

    Args:
        path: of the file.
        entropy: where the keys come from.
        begun: an SQLite file that was begun without a file of keys: its key for pseudonyms is taken over, so that it can be sealed now.

    Raises:
        ConfigurationError: it is there already, or cannot be written; or nothing lies beside `begun`.
    """
    key_id = entropy(4).hex()
    pseudonyms = entropy(KEY_BYTES) if begun is None else _beside(begun).pseudonym_key
    made = Keyring(current=key_id, keys={key_id: entropy(KEY_BYTES)}, pseudonym_key=pseudonyms)
    _put(path, _told(made).encode(), replace=False)
    return made


def add_key(path: Path, *, entropy: Entropy, later: bool = False) -> Keyring:
    """One more key in a file of keys.

    Args:
        path: of the file.
        entropy: where the key comes from.
        later: whether the one that seals stays. Where several processes use a store, all have to know the new key before one seals under it.

    Raises:
        ConfigurationError: the file is none of keys, or cannot be written.
    """
    ring = Keyring.from_toml(path)
    key_id = entropy(4).hex()
    keys = {**ring.keys, key_id: entropy(KEY_BYTES)}
    made = Keyring(
        current=ring.current if later and ring.current else key_id, keys=keys, pseudonym_key=ring.pseudonym_key
    )
    _put(path, _told(made).encode(), replace=True)
    return made


def choose_key(path: Path, key_id: str) -> Keyring:
    """Let another key of the file seal from now on.

    Raises:
        ConfigurationError: the file is none of keys, has no such key, or cannot be written.
    """
    ring = Keyring.from_toml(path)
    made = Keyring(current=key_id, keys=ring.keys, pseudonym_key=ring.pseudonym_key)
    _put(path, _told(made).encode(), replace=True)
    return made


def drop_keys(path: Path, used: frozenset[str]) -> tuple[str, ...]:
    """Take out of a file the keys that nothing is sealed under any more; the one that seals stays.

    Args:
        path: of the file.
        used: the ids that rows still name, from `rotate.keys_in_use`, counted when no process seals under an old key any more.

    Returns:
        The ids that were taken out.

    Raises:
        ConfigurationError: the file is none of keys, lacks one that is used, or cannot be written.
    """
    ring = Keyring.from_toml(path)
    if lacking := used - ring.keys.keys():
        raise ConfigurationError(f"{path}: lacks {', '.join(sorted(lacking))}, under which something is sealed")
    kept = {key_id: key for key_id, key in ring.keys.items() if key_id in used or key_id == ring.current}
    if gone := tuple(sorted(ring.keys.keys() - kept.keys())):
        made = Keyring(current=ring.current, keys=kept, pseudonym_key=ring.pseudonym_key)
        _put(path, _told(made).encode(), replace=True)
    return gone


def keyring_beside(database: Path, *, entropy: Entropy) -> Keyring:
    """The ring of an SQLite file whose texts lie open: the key for pseudonyms lies in `DATABASE.pseudonyms`, and is made where there is none.

    Raises:
        ConfigurationError: it cannot be read or made, or others may read it.
    """
    path = _place_beside(database)
    if not path.exists():
        # Another process may make it at the same time; the first one's is everybody's.
        try:
            with suppress(FileExistsError):
                _link(path, entropy(KEY_BYTES))
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be made ({error.strerror})") from None
    return _beside(database)


def _place_beside(database: Path) -> Path:
    return database.with_name(f"{database.name}.pseudonyms")


def _beside(database: Path) -> Keyring:
    path = _place_beside(database)
    key = read_private(path)
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path}: is no key for pseudonyms; put the one back that was there")
    return Keyring.unsealed(key)


def keep_to_keys(connection: Connection, keys: Keyring) -> None:
    """Let the store know its key for pseudonyms at the first opening, and refuse another one ever after.

    Raises:
        ConfigurationError: the store was begun with another one, by which no id would be known again.
    """
    mine, asked = keys.fingerprint(), select(facts.c.value).where(facts.c.name == _FACT)
    if (found := connection.scalar(asked)) is None:
        insert_new(connection, facts, [{"name": _FACT, "value": mine}])
        found = connection.scalar(asked)
    if found != mine:
        raise ConfigurationError(
            "the key for pseudonyms is not the one this store was begun with, so no id would be known again: give the store its own keys (--keys FILE)"
        )


def _told(ring: Keyring) -> str:
    """As TOML. The ids of keys need no quotes there."""
    lines = [f'{key_id} = "{_encoded(key)}"' for key_id, key in ring.keys.items()]
    current = f'current = "{ring.current}"\n' if ring.current is not None else ""
    return f'{_HEAD}{current}pseudonyms = "{_encoded(ring.pseudonym_key)}"\n\n[keys]\n' + "\n".join(lines) + "\n"


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _put(path: Path, data: bytes, *, replace: bool) -> None:
    try:
        if replace:
            beside = _written(path, data)
            beside.replace(path)
            _sync_folder(path)
        else:
            _link(path, data)
    except FileExistsError:
        raise ConfigurationError(f"{path}: is there already; keys are never written over") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from None


def _link(path: Path, data: bytes) -> None:
    """Put a whole file under a name that nobody has yet."""
    beside = _written(path, data)
    try:
        os.link(beside, path)
        _sync_folder(path)
    finally:
        beside.unlink()


def _written(path: Path, data: bytes) -> Path:
    """A file beside the place of another, on the disk, for its owner's eyes only."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
