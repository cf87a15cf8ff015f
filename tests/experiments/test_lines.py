"""A journal's file: a disk that takes half a line, a last line without its end, and a lock that others have."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.lines import Lines, held
from crisis_filter.experiments.simulate.journal import Trouble

Write = Callable[[int, bytes], int]
_LINE = '{"who":"author","key":"k","finish":"none","fault":"timeout","replied":false,"backend":"b","attempts":1}'


def trouble(key: str) -> Trouble:
    return Trouble.model_validate_json(_LINE).model_copy(update={"key": key})


def short(real: Write) -> Write:
    return lambda file, data: real(file, data[:20])


def full(real: Write) -> Write:
    def write(file: int, data: bytes) -> int:
        real(file, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    return write


@pytest.mark.parametrize("broken", [short, full])
def test_half_a_line_is_taken_back_and_nothing_is_glued_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Write], Write]
) -> None:
    """The file is as before, the journal takes no more, and a new one goes on with whole lines."""
    path = tmp_path / "a.jsonl"
    lines = Lines(path, Trouble)
    lines.append(trouble("one"))
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("crisis_filter.experiments.lines.os.write", broken(os.write))
        with pytest.raises(ConfigurationError, match="cannot be written") as first:
            lines.append(trouble("two"))
    assert path.read_bytes() == before
    with pytest.raises(ConfigurationError) as second:
        lines.append(trouble("three"))
    assert str(second.value) == str(first.value)
    assert path.read_bytes() == before
    again = Lines(path, Trouble)
    again.append(trouble("four"))
    assert [one.key for one in again.records] == ["one", "four"]
    assert path.read_bytes().count(b"\n") == 2


def test_a_last_line_without_its_end_stays_in_a_file_for_people(tmp_path: Path) -> None:
    """An editor may leave it out; it is a record, the file is not touched, and the next one stands on a line of its own."""
    path = tmp_path / "a.jsonl"
    Lines(path, Trouble).append(trouble("one"))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    before = path.read_bytes()
    lines = Lines(path, Trouble, by_hand=True)
    assert [one.key for one in lines.records] == ["one"]
    assert path.read_bytes() == before
    for key in ("two", "three"):
        lines.append(trouble(key))
    assert [one.key for one in Lines(path, Trouble, by_hand=True).records] == ["one", "two", "three"]
    assert path.read_bytes().count(b"\n") == 3
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="line 3 is not a line"):
        Lines(path, Trouble, by_hand=True)
    assert path.read_bytes().count(b"\n") == 2


def test_a_lock_is_waited_for_as_long_as_one_is_told(tmp_path: Path) -> None:
    """And then refused in the words that fit."""
    first = held(tmp_path / "l")
    with pytest.raises(ConfigurationError, match="others are at it"):
        held(tmp_path / "l", wait_s=0.05, busy="others are at it")
    os.close(first)
    os.close(held(tmp_path / "l"))
