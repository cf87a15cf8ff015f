"""SIGKILL at every step and at any instant, also while going on, and a full disk: nothing lost, nothing twice, nothing of another row."""

from __future__ import annotations

import json
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import CRASH_POINTS, Files
from crisis_filter.batch.ledger import ledger
from tests.batch.conftest import Run
from tests.batch.playing import head_for, inputs_in, mark, play, rows_of, write_input

FIRST, SECOND = 260, 140
ENDS = ("SIGKILL", "ConfigurationError", "well")
REPEATED = ("added", "batch_taken", "batch_written", "batch_synced", "output_half")
"""Points that a run passes many times."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    write_input(folder / "in1.jsonl", FIRST)
    write_input(folder / "in2.jsonl", SECOND)
    play(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, whole: Path) -> Path:
    for path in inputs_in(whole):
        shutil.copy(path, tmp_path)
    return tmp_path


def check(folder: Path, whole: Path, name: str = "out.jsonl") -> None:
    """The same files as without a disturbance; each verdict with the row that it is of; the ledger balanced; nothing left over."""
    files = Files(folder / name)
    if name.endswith(".jsonl"):
        for made in (files.out, files.errors):
            assert made.read_bytes() == (whole / made.name).read_bytes()
        expected = [row.message for row in rows_of(inputs_in(folder)) if row.message is not None]
        found = [json.loads(line) for line in files.out.read_bytes().splitlines()]
        assert [(told["id"], told["provenance"]["model"]) for told in found] == [(m.id, mark(m)) for m in expected]
    counted = ledger(files.out, rows=rows_of(inputs_in(folder)))
    assert counted.balanced, [equation for equation in counted.equations if not equation.holds]
    assert (counted.received, counted.pending, counted.finished) == (FIRST + SECOND, 0, True)
    assert set(folder.iterdir()) == {files.out, files.errors, files.journal, files.seal, *inputs_in(folder)}


def test_without_a_kill(folder: Path, whole: Path, run: Run) -> None:
    """Other slots end first in another run, and the files are the same."""
    assert run(folder, seed=5)["ended"] == "well"
    check(folder, whole)
    assert run(folder, seed=6)["ended"] == "well"
    check(folder, whole)


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_at_each_point_and_again_while_going_on(folder: Path, whole: Path, run: Run, point: str) -> None:
    """At its first passing, in the run, in the resumption and in the resumption of that; later passings too where there are any."""
    assert run(folder, point=(point, 1))["ended"] == "SIGKILL"
    for times in (1, 7, 150) if point in REPEATED else (1, 1):
        run(folder, point=(point, times), seed=times)
    assert run(folder)["ended"] == "well"
    check(folder, whole)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_any_instant(folder: Path, whole: Path, run: Run, seed: int) -> None:
    kills_at_random(folder, whole, run, kills=9, seed=seed)


@settings(deadline=None, max_examples=12)
@given(
    st.lists(
        st.tuples(st.sampled_from(CRASH_POINTS), st.sampled_from([1, 2, 5, 60]), st.integers(0, 99), st.booleans()),
        max_size=5,
    )
)
def test_any_order_of_kills_goings_on_and_full_disks(
    whole: Path, run: Run, steps: list[tuple[str, int, int, bool]]
) -> None:
    """Whatever was done to it, the run comes to the files of one that nobody disturbed."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for path in inputs_in(whole):
            shutil.copy(path, folder)
        for point, times, seed, full in steps:
            limit = {"longest": 4096 * (seed + 1)} if full else {}
            assert run(folder, point=(point, times), seed=seed, **limit)["ended"] in ENDS
        assert run(folder)["ended"] == "well"
        check(folder, whole)


@pytest.mark.slow
def test_killed_at_very_many_instants(folder: Path, whole: Path, run: Run) -> None:
    kills_at_random(folder, whole, run, kills=300, seed=4)


def kills_at_random(folder: Path, whole: Path, run: Run, *, kills: int, seed: int) -> None:
    """Runs killed at random, each going on from where the last was killed; one that comes to its end is looked at, and begun anew."""
    rng = np.random.default_rng(seed)
    took = run(folder, seed=seed)["took_s"]
    anew(folder)
    met = 0
    for number in range(50 * kills):
        ended = run(folder, after_s=float(rng.uniform(0, 0.7 * took)), seed=number)["ended"]
        met += ended == "SIGKILL"
        if met == kills:
            break
        if ended == "well":
            check(folder, whole)
            anew(folder)
    assert met == kills
    assert run(folder)["ended"] == "well"
    check(folder, whole)


def anew(folder: Path) -> None:
    for path in set(folder.iterdir()) - set(inputs_in(folder)):
        path.unlink()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_killed_while_a_table_is_written(folder: Path, run: Run, whole: Path, name: str) -> None:
    """Nothing is left behind of a table that was begun, and the one that is made is as it would have been."""
    for point in ("output_half", "output_written", "output_named", "end_synced"):
        assert run(folder, point=(point, 1), name=name)["ended"] == "SIGKILL"
    assert run(folder, name=name)["ended"] == "well"
    check(folder, whole, name)
    (folder / "undisturbed").mkdir()
    other = folder / "undisturbed"
    for path in inputs_in(folder):
        shutil.copy(path, other)
    play(other, name=name)
    assert sha256((other / name).read_bytes()).digest() == sha256((folder / name).read_bytes()).digest()


def test_a_full_disk_at_every_step_of_64_kb(folder: Path, whole: Path, run: Run) -> None:
    """A clean stop that says so, in journal, output or errors; with room again, the run goes on to the same files."""
    step, told = 65536, []
    for longest in range(step, 40 * step, step):
        ended = run(folder, longest=longest, seed=longest)
        if ended["ended"] == "well":
            break
        assert ended["ended"] == "ConfigurationError", ended
        assert "cannot be written: File too large" in ended["words"]
        assert "make room" in ended["words"]
        told.append(ended["words"])
        if longest % (3 * step) == 0:  # killed on a full disk, too
            run(folder, longest=longest, point=("batch_taken", 1))
    else:
        pytest.fail("it never ends")
    assert len(told) >= 4
    check(folder, whole)


def test_a_full_disk_from_the_beginning(folder: Path, whole: Path, run: Run) -> None:
    """Each step alone, from nothing: not even the head fits, or the head and no more, up to all but the last bytes."""
    # Written as seldom as can be, a journal has the same length each time.
    assert run(folder, interval_s=30)["ended"] == "well"
    size = Files(folder / "out.jsonl").journal.stat().st_size
    for longest in (0, 100, 700, 1024, 8192, *range(65536, size, 65536), size - 40):
        anew(folder)
        ended = run(folder, longest=longest, interval_s=30)
        assert ended["ended"] == "ConfigurationError", (longest, ended)
        assert run(folder)["ended"] == "well"
        check(folder, whole)


def test_two_at_once_in_two_processes(folder: Path, whole: Path, run: Run) -> None:
    """The second is refused, by name of the first, and takes nothing from it."""
    with Journal.open(folder / "out.jsonl", head_for(folder)):
        ended = run(folder)
    assert ended["ended"] == "ConfigurationError"
    assert "another run (process " in ended["words"]
    assert run(folder)["ended"] == "well"
    check(folder, whole)
