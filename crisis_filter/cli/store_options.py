"""What commands on a store share: its options, and opening it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crisis_filter.store.keyring import Keyring
    from crisis_filter.store.opening import Engine, Store

__all__ = ["KeysFile", "StoreUrl", "keys_of", "opened_engine", "opened_store", "with_the_extra"]

StoreUrl = Annotated[
    str,
    typer.Option("--store", metavar="URL", show_default=False, help="sqlite:///FILE or postgresql://USER@HOST/NAME."),
]
KeysFile = Annotated[
    Path | None,
    typer.Option(
        "--keys", metavar="FILE", show_default=False, help="The store's keys; crisis-filter store keygen makes one."
    ),
]


@contextmanager
def with_the_extra() -> Iterator[None]:
    """Around imports of the store.

    Raises:
        ConfigurationError: the packages it needs are not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("crisis_filter"):
            raise
        raise ConfigurationError(
            f"the store needs {error.name}, which is not installed: pip install 'crisis-filter[service]'"
        ) from None


def keys_of(path: Path | None) -> Keyring | None:
    """The keys in a file; `None` without one.

    Raises:
        ConfigurationError: it is none of keys, or others may read it.
    """
    if path is None:
        return None
    with with_the_extra():
        from crisis_filter.store.keyring import Keyring
    return Keyring.from_toml(path)


@contextmanager
def opened_store(url: str, keys: Path | None) -> Iterator[Store]:
    """A store for the length of a command.

    Raises:
        ConfigurationError: address, keys or tables are wrong; says what to do.
        StoreError: it cannot be reached, or is no database.
    """
    with with_the_extra():
        from crisis_filter.store.opening import open_store
    with open_store(url, keys=keys_of(keys)) as store:
        yield store


@contextmanager
def opened_engine(url: str) -> Iterator[Engine]:
    """The database of a store that exists, for what needs no keys; raises as `opened_store` does."""
    with with_the_extra():
        from crisis_filter.store.opening import open_engine
    engine = open_engine(url, make=False)
    try:
        yield engine
    finally:
        engine.dispose()
