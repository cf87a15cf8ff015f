"""`crisis-filter explain`: one message in full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text

from crisis_filter.cli.portrait import marked
from crisis_filter.schema import Evidence


def test_a_crisis_in_full(run: Callable) -> None:
    """Outcome, score and its source, marked evidence, both stages, where it goes and how it came about."""
    ran = run("explain", "Today I give up for good")
    for words in (
        "▲ crisis  score 0.900, in the model's own words",
        "Today I ⟦give up⟧ for good",
        "Stage 1, crisis or not",
        "Said plainly.",
        "suicide (severe), whose: self, when: current",
        '"give up" (characters 8 to 15)',
        "The writer says so.",
        "queue act-now, urgency emergency, by rule severe-danger-to-life",
        "withheld: nobody has verified them yet",
        "detector scripted",
        "policy default-v3 (SHA-256 ",
        "prompt screen/",
        "1 view, 2 requests",
    ):
        assert words in ran.out
    assert ran.status == 0


def test_a_fault_in_plain_words(run: Callable) -> None:
    """An undetermined message tells what its fault means and what happens next."""
    ran = run("explain", "slow")
    assert "? undetermined" in ran.out
    assert "Fault: timeout" in ran.out
    assert "No answer came in time." in ran.out
    assert "a person has to read it" in ran.out
    assert ran.status == 3


def test_json(run: Callable) -> None:
    """With `--json` the record is the same as that of `classify`."""
    explained = run("explain", "I give up", "--json").records[0]
    classified = run("classify", "I give up", "--json").records[0]
    assert list(explained) == list(classified)
    assert explained["findings"] == classified["findings"]


def test_the_whole_standard_input_is_one_message(run: Callable) -> None:
    """`-` is one message of several lines here, with a byte-order mark left out and bad bytes told."""
    ran = run("explain", "-", stdin=b"\xef\xbb\xbfI\r\ngive up\n")
    assert [line.rstrip() for line in ran.out.splitlines()][3:5] == ["  I", "  ⟦give up⟧"]
    assert "encoding_repaired" in run("explain", "-", stdin=b"caf\xe9").out


def test_a_message_of_a_file(run: Callable, tmp_path: Path) -> None:
    """`--id` finds one message in a file, also by the id that `classify` made up."""
    path = tmp_path / "in.csv"
    path.write_text("id,text\nx,a fine day\n,I give up\n", encoding="utf-8")
    assert "○ not crisis" in run("explain", str(path), "--id", "x").out
    assert "▲ crisis" in run("explain", str(path), "--id", "in:3").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--id", "nope"], "no message has the id 'nope'"), ([], "--id ID")],
)
def test_which_message_of_a_file(run: Callable, tmp_path: Path, arguments: list[str], words: str) -> None:
    """A file without an id to look for, or without that id, is bad input with the next step."""
    path = tmp_path / "in.csv"
    path.write_text("text\na\n", encoding="utf-8")
    ran = run("explain", str(path), *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err


def test_an_id_needs_a_file(run: Callable) -> None:
    """`--id` beside a text is a mistake and not ignored."""
    assert run("explain", "a text", "--id", "x").status == 2


@pytest.mark.parametrize(
    ("spots", "expected"),
    [
        ([], "abcdef"),
        ([(0, 2), (4, 6)], "[ab]cd[ef]"),
        ([(1, 4), (2, 5)], "a[bcde]f"),
        ([(2, 4), (0, 2)], "[abcd]ef"),
        ([(1, 5), (2, 3)], "a[bcde]f"),
    ],
)
def test_marks(spots: list[tuple[int, int]], expected: str) -> None:
    """Evidence is marked where it stands; stretches that overlap or touch share a pair of marks."""
    evidence = [Evidence(quote="abcdef"[a:b], start=a, end=b) for a, b in spots]
    text = marked("abcdef", evidence, ("[", "]"))
    assert isinstance(text, Text)
    assert text.plain == expected
