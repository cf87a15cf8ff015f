"""Errors of usage that repeat no value, because any argument may be a message."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from crisis_filter.cli.trouble import CONFIGURATION, PIPE_CLOSED, putting_out, say, told
from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Typer names only some of the errors it raises; this is the base of all that are about usage.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Misuse(typer.BadParameter):
    """An error of usage in words of ours."""

    def format_message(self) -> str:
        """The words as they are."""
        return self.message


class Commands(TyperGroup):
    """Commands by name, whose errors of usage repeat nothing that was given."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names."""
        if self.get_command(ctx, args[0]) is None:
            words = f"The first word is no command. Commands: {', '.join(self.commands)}. Try: classify TEXT"
            raise Misuse(words, ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> Any:
        """The context of the program."""
        with self._discreet():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Read the arguments of the command and run it."""
        with self._discreet():
            return super().invoke(ctx)

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        try:
            with _shown():
                yield
        except _UsageError as error:
            options = {
                o for c in (self, *self.commands.values()) for p in c.params for o in (*p.opts, *p.secondary_opts)
            }
            words = _words(error, options)
            if words is None:
                raise
            raise Misuse(words, getattr(error, "ctx", None)) from None


@contextmanager
def _shown() -> Iterator[None]:
    """Around what shows help or the version, outside of any command: its output may not be taken either."""
    if sys.stdout is None:
        # A file that is opened later would get the number of the standard output, and what others print there.
        say("crisis-filter: the output cannot be written: the standard output is closed. /dev/null takes it")
        raise typer.Exit(CONFIGURATION)
    try:
        with putting_out():
            yield
    except ConfigurationError as error:
        say(f"crisis-filter: {error}")
        raise typer.Exit(CONFIGURATION) from None
    except BrokenPipeError:
        with told():
            raise
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Rich has seen it first
            raise typer.Exit(PIPE_CLOSED) from None
        raise


def _words(error: Any, options: set[str]) -> str | None:
    """What to say instead, with the names of our own options at most, or `None` for what repeats nothing."""
    kind = type(error).__name__
    if isinstance(error, Misuse) or kind in ("NoArgsIsHelpError", "MissingParameter"):
        return None
    if isinstance(error, typer.BadParameter):
        return f"{_name(error)} cannot have the value given; --help says what it takes"
    if kind == "NoSuchOption":
        near = ", ".join(sorted(options.intersection(error.possibilities or ())))
        hint = f" (possible: {near})" if near else ""
        return f"There is no such option{hint}. If it is the message itself, write -- before it"
    if kind == "BadOptionUsage":
        name = error.option_name if error.option_name in options else "An option"
        return f"{name} lacks its value, or has one that it does not take"
    return "The arguments do not fit the command. Put a message of several words in quotes"


def _name(error: typer.BadParameter) -> str:
    return "/".join(error.param.opts) if error.param is not None else "An argument"
