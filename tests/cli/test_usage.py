"""Wrong usage: told in words of ours, because any argument may be a message."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["I", "drown", "alone"], "Commands: classify, explain"),
        (["--drown-alone"], "no such option"),
        (["explain", "I", "want", "to", "drown", "alone"], "in quotes"),
        (["explain", "--drown-alone"], "write -- before it"),
        (["explain", "-drown alone"], "no such option"),
        (["classify", "x", "--timeout", "drown alone"], "--timeout cannot have the value given"),
        (["classify", "x", "--concurrency", "9999"], "--concurrency cannot have the value given"),
        (["classify", "x", "--json=drown alone"], "--json lacks its value, or has one"),
        (["classify", "drown alone", "--timeout"], "--timeout lacks its value"),
        (["classify", "x", "--timout", "5"], "--timeout). If"),
        (["explain"], "Missing argument"),
    ],
)
def test_wrong_usage_repeats_nothing(run: Callable, arguments: list[str], words: str) -> None:
    """An error of usage is status 2, says what to do, and repeats no value that was given."""
    ran = run(*arguments, backend=False)
    err = " ".join(ran.err.replace("\u2502", " ").split())
    assert (ran.status, ran.out) == (2, "")
    assert words in err
    assert [w for w in ("drown", "alone", "9999", "want") if w in err] == []


def test_a_message_that_begins_like_an_option(run: Callable) -> None:
    """What the error advises works: after -- anything is a message."""
    assert run("explain", "--json", "--", "--I give up", backend=False).status == 0


def test_no_arguments_show_the_help(run: Callable) -> None:
    """The program by itself shows what it can do."""
    assert "classify" in run(backend=False).out
