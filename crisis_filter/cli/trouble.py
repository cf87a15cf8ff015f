"""What goes wrong, told in a line on the standard error, and the exit status that goes with it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from crisis_filter.errors import ConfigurationError, CrisisFilterError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = 0
INTERNAL = 1
BAD_INPUT = 2
UNDETERMINED = 3
NOT_PASSED = 4
CONFIGURATION = 5
INTERRUPTED = 130
PIPE_CLOSED = 141
"""What a shell shows for a program that a closed pipe ended."""


class Stopped(KeyboardInterrupt):
    """A signal asks the run to end.

    Args:
        number: the signal; the exit status is 128 more, as a shell shows it.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def say(line: str) -> None:
    """One line of talk on the standard error; nothing where that is gone, as after a terminal has hung up."""
    try:
        typer.echo(line, err=True)
    except OSError:
        _forget(sys.stderr)


@contextmanager
def putting_out() -> Iterator[None]:
    """Around what writes to the standard output.

    Raises:
        ConfigurationError: it does not take it, as on a full disk.
        BrokenPipeError: whoever read it stopped reading.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget(sys.stdout)
        raise ConfigurationError(f"the output cannot be written: {error.strerror}") from None


@contextmanager
def told() -> Iterator[None]:
    """Turn whatever goes wrong inside into a line and an exit status; no traceback, and no text of a message."""
    try:
        yield
    except typer.Exit:
        raise
    except BrokenPipeError:
        _forget(sys.stdout)
        raise typer.Exit(PIPE_CLOSED) from None
    except KeyboardInterrupt as error:
        say("stopped")
        raise typer.Exit(status_of(error)) from None
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


def status_of(stop: KeyboardInterrupt) -> int:
    """The exit status of a run that a signal ended."""
    return stop.status if isinstance(stop, Stopped) else INTERRUPTED


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "unknown"


def _forget(stream: TextIO) -> None:
    """Point a stream at nothing, or the interpreter complains about what it still holds as it exits."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, number)
        os.close(nothing)
