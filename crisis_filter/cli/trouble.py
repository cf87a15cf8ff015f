"""What goes wrong, told in a line on the standard error, and the exit status that goes with it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crisis_filter.errors import ConfigurationError, CrisisFilterError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = 0
INTERNAL = 1
BAD_INPUT = 2
UNDETERMINED = 3
CONFIGURATION = 5
INTERRUPTED = 130
PIPE_CLOSED = 141
"""What a shell shows for a program that a closed pipe ended."""


def say(line: str) -> None:
    """One line of talk on the standard error."""
    typer.echo(line, err=True)


@contextmanager
def told() -> Iterator[None]:
    """Turn whatever goes wrong inside into a line and an exit status; no traceback, and no text of a message."""
    try:
        yield
    except typer.Exit:
        raise
    except BrokenPipeError:
        _forget_stdout()
        raise typer.Exit(PIPE_CLOSED) from None
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(INTERRUPTED) from None
    except ConfigurationError as error:
        say(f"crisis-filter: {error}")
        raise typer.Exit(CONFIGURATION) from None
    except InputError as error:
        say(f"crisis-filter: {error}")
        raise typer.Exit(BAD_INPUT) from None
    except CrisisFilterError as error:
        say(f"crisis-filter: {error}")
        raise typer.Exit(INTERNAL) from None
    except Exception as error:  # noqa: BLE001  # its words may hold the text, so only its kind and place are told
        say(f"crisis-filter: a bug of ours: {type(error).__name__} at {_place(error)}. Please report this line.")
        raise typer.Exit(INTERNAL) from None


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "unknown"


def _forget_stdout() -> None:
    """Point the standard output at nothing, or the interpreter complains about the closed pipe as it exits."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)
