"""Who types a command on a store, for its audit, and what never belongs on a command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.private import words_in
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from crisis_filter.store.records import Actor

__all__ = ["Reason", "SubjectFrom", "Tenant", "operator", "subject_in"]

Tenant = Annotated[str, typer.Option(help="Whose messages.")]
Reason = Annotated[
    str | None,
    typer.Option(help="For the audit, such as the number of the request; never a person's name or id."),
]
SubjectFrom = Annotated[
    Path | None,
    typer.Option(
        "--subject-from",
        metavar="FILE",
        show_default=False,
        help="File whose one line is the person's id in the clear; - for the standard input. It is no option itself, because command lines are kept.",
    ),
]


def operator(tenant: str, command: str) -> Actor:
    """Whoever is logged in on this machine.

    Args:
        tenant: whose messages it is about.
        command: such as `store erase`.
    """
    from crisis_filter.store.records import Actor

    return Actor(id=f"operator:{_login()}", tenant=tenant, origin=f"crisis-filter {command}")


def _login() -> str:
    try:
        import pwd

        # Of the process, not of its environment, where anybody can write any name.
        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return "unknown"


def subject_in(path: Path | None) -> str | None:
    """The person's id; `None` where no file is named.

    Raises:
        ConfigurationError: the file cannot be read.
        InputError: it has not one line.
    """
    if path is None:
        return None
    lines = words_in(path).splitlines()
    if len(lines) != 1 or not lines[0]:
        raise InputError(f"{path}: has not one line with the person's id")
    return lines[0]
