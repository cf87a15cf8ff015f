"""`crisis-filter queue second-readings` and `export`: what came of the reading."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.queue_acting import As, Days, PolicyName, at, policy_of
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.store_acting import Tenant
from crisis_filter.cli.store_options import KeysFile, StoreUrl
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["export", "show_second_readings"]

_DAY = 24 * 3600 * 1000


def show_second_readings(
    store: StoreUrl,
    who: As,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    policy: PolicyName = None,
    days: Days = 30,
    as_json: AsJson = False,
) -> None:
    """Show what blind second readings say: misses, false alarms, and how far readers agree, each with its counts and interval."""
    with at(store, keys, who, tenant, "second-readings", "supervise") as (opened, actor):
        from crisis_filter.cli.queue_show import show_second
        from crisis_filter.store.queue_second import second_readings
        from crisis_filter.taxonomy.load import load_taxonomy

        now = opened.clock()
        names = load_taxonomy(policy_of(policy).stages.taxonomy).ids
        found = opened.read(
            partial(second_readings, actor=actor, since_ms=now - days * _DAY, until_ms=now + 1, categories=names)
        )
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                show_second(found, stdout_console())


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="A new file: .jsonl or .csv.")],
    store: StoreUrl,
    who: As,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    days: Days = 30,
    clinician: Annotated[
        list[str] | None,
        typer.Option(show_default=False, help="Name of a reader who is a clinician; may be repeated."),
    ] = None,
) -> None:
    """Write what people decided as reference labels, texts included. .jsonl is for evaluate --gold and data agreement; no cell of a .csv runs in a spreadsheet.

    The file is readable by its owner alone, and no longer under the store's retention or erasure.

    Exit status: 0 done; 2 the file is there already, or has another ending; 5 the store cannot be opened.
    """
    with told():
        if file.suffix not in {".jsonl", ".csv"}:
            raise InputError("the file ends in .jsonl or .csv")
        with at(store, keys, who, tenant, "export", "export", "text") as (opened, actor):
            from crisis_filter.store.gold import csv_text, export_gold

            now = opened.clock()
            with _new_file(file) as descriptor:
                found = opened.write(
                    partial(
                        export_gold,
                        store=opened,
                        actor=actor,
                        since_ms=now - days * _DAY,
                        until_ms=now + 1,
                        now_ms=now,
                        clinicians=frozenset(clinician or ()),
                    )
                )
                lines: Iterable[str] = (row.model_dump_json() + "\n" for row in found.rows)
                _put(descriptor, [csv_text(found)] if file.suffix == ".csv" else lines)
        say(f"{file}: {counted(len(found.rows), 'message')}, labelled by {found.labelled_by}")
        left_out = {"that no reader could tell": found.undetermined, "without their text": found.without_text}
        for words, count in left_out.items():
            if count:
                say(f"left out: {count:,} {words}")
        if found.unnamed:
            say(f"{found.unnamed:,} crises whose kind no reader named have the category unspecified")


@contextmanager
def _new_file(path: Path) -> Iterator[int]:
    """A new file for its owner's eyes only; gone again where something goes wrong."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise InputError(f"{path}: is there already") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be made: {error.strerror}") from None
    try:
        yield descriptor
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _put(descriptor: int, parts: Iterable[str]) -> None:
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(f"the file cannot be written: {error.strerror}") from None
