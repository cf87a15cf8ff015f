"""A run goes on where it was: killed at any instant, cut at any byte; and never as another run than it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.backends.scripted import Scripted
from crisis_filter.errors import ConfigurationError, Fault, InputError
from crisis_filter.experiments.simulate.journal import Journal, Trouble
from crisis_filter.experiments.simulate.recipe import Recipe
from crisis_filter.experiments.simulate.run import Work, load_work
from tests.experiments.playing import SALT, STRATA, Company, play, recipe

PROGRAM = Path(__file__).parent / "playing.py"
ROOT = Path(__file__).parent.parent.parent
FILES = ("candidates.jsonl", "ratings-a.jsonl", "ratings-b.jsonl", "adjudications.jsonl")
"""In the order in which one request after the other fills them."""


@cache
def work() -> Work:
    return load_work(recipe())


@cache
def whole() -> tuple[dict[str, bytes], bytes, tuple[str, ...]]:
    """The files of a run without a stop, its messages, and what was asked."""
    with tempfile.TemporaryDirectory() as made:
        company = Company()
        asyncio.run(play(Path(made), company, work=work()))
        files = {name: (Path(made) / name).read_bytes() for name in ("state.json", *FILES)}
        return files, (Path(made) / "messages.jsonl").read_bytes(), tuple(company.keys)


def answered(folder: Path) -> set[str]:
    """What the journal holds an answer for: ids of messages by who was asked, numbers of batches."""
    found = set()
    for name in FILES:
        path = folder / name
        for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
            row = json.loads(line)
            found.add(f"{name} {row.get('slots', row.get('id'))}")
    return found


def start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), str(log)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for(log: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if log.exists() and log.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.002)


@pytest.mark.parametrize(
    "instants", [(5, 8), pytest.param((2, 5, 8, 8, 4), marks=pytest.mark.slow)], ids=["twice", "five times"]
)
def test_killed_at_several_instants_it_comes_to_the_same(tmp_path: Path, instants: tuple[int, ...]) -> None:
    """SIGKILL while batches, ratings and decisions are under way; what has an answer is never asked again."""
    folder = tmp_path / "run"
    before: set[str] = set()
    asked: list[str] = []
    killed = 0
    for number, lines in enumerate(instants):
        log = tmp_path / f"log-{number}"
        process = start(folder, log)
        wait_for(log, lines, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL  # on a busy machine it may be done before
        before = answered(folder)
        asked += log.read_text(encoding="utf-8").splitlines()
    log = tmp_path / "log-last"
    last = start(folder, log)
    _, err = last.communicate(timeout=120)
    assert (last.returncode, err) == (0, b"")
    asked += log.read_text(encoding="utf-8").splitlines()
    files, messages, keys = whole()
    assert (folder / "messages.jsonl").read_bytes() == messages
    assert set(asked) == set(keys)
    assert killed >= 2
    # At most the two that were under way at each kill.
    assert len(keys) <= len(asked) <= len(keys) + 2 * killed
    assert before <= answered(folder)
    assert len(answered(folder)) == sum(files[name].count(b"\n") for name in FILES) == len(keys)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_cut_at_any_byte_it_comes_to_the_same(data: st.DataObject) -> None:
    """Whatever part of the journal reached the disk, the rest is asked, that and nothing else."""
    files, messages, keys = whole()
    left = data.draw(st.integers(0, sum(len(files[name]) for name in FILES)))
    with tempfile.TemporaryDirectory() as made:
        folder, kept = Path(made), 0
        (folder / "state.json").write_bytes(files["state.json"])
        for name in FILES:
            part = files[name][:left]
            left -= len(part)
            kept += part.count(b"\n")
            if part:
                (folder / name).write_bytes(part)
        company = Company()
        summary = asyncio.run(play(folder, company, work=work()))
        assert summary.done
        assert (folder / "messages.jsonl").read_bytes() == messages
        assert sorted(company.keys) == sorted(keys[kept:])
        assert all((folder / name).read_bytes().count(b"\n") == files[name].count(b"\n") for name in FILES)


def again(folder: Path, one: Recipe, known: tuple[Path, ...] = ()) -> None:
    changed = load_work(one, known)
    with Journal.begin(folder, changed.state(Company().crew, SALT)):
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"batch": 3},
        {"tries": 3},
        {"near": 81},
        {"strata": STRATA[:2]},
        {"taxonomy": "prompts"},
        {"must_agree": ["crisis", "categories"]},
        {"id": "other"},
    ],
    ids=str,
)
async def test_another_recipe_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """With both hashes, and nothing in the folder is touched."""
    await play(tmp_path, Company(), work=work())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    if change.get("taxonomy"):
        folder = tmp_path.parent / f"{tmp_path.name}-taxonomy" / "clinical-v1"
        folder.mkdir(parents=True)
        for page in (ROOT / "categories/clinical-v1").iterdir():
            (folder / page.name).write_bytes(page.read_bytes().replace(b"farewell", b"goodbye"))
        change = {"taxonomy": str(folder)}
    one = recipe(**change)
    with pytest.raises(ConfigurationError) as caught:
        again(tmp_path, one)
    assert work().sha256 in str(caught.value)
    assert load_work(one).sha256 in str(caught.value)
    assert work().sha256 != load_work(one).sha256
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


async def test_another_prompt_or_other_known_messages_are_refused(tmp_path: Path) -> None:
    """A prompt by its content, wherever it lies; a set to stay away from likewise."""
    await play(tmp_path / "run", Company(), work=work())
    prompt = (ROOT / "prompts/simulate/author-v1.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.md"
    path.write_text(prompt, encoding="utf-8")
    same = recipe(prompts={"author": str(path)})
    assert load_work(same).author.sha256 == work().author.sha256
    path.write_text(prompt.replace("Vary what people vary", "Vary"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="was begun with"):
        again(tmp_path / "run", same)
    known = tmp_path / "known.jsonl"
    known.write_text('{"text": "hello"}\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="was begun with"):
        again(tmp_path / "run", recipe(), (known,))
    again(tmp_path / "run", recipe())


async def test_a_rater_is_one_model(tmp_path: Path) -> None:
    """Another author may go on with a run; another rater may not."""
    await play(tmp_path, company := Company(), work=work())

    class Named(Scripted):
        @property
        def name(self) -> str:
            return "openai:other"

    other = Named([])
    for part in ("rater_a", "rater_b", "adjudicator"):
        crew = type(company.crew)(**{**{n: getattr(company.crew, n) for n in company.crew.__slots__}, part: other})
        with pytest.raises(ConfigurationError, match=f"{part} scripted"):
            Journal.begin(tmp_path, work().state(crew, SALT))
    crew = type(company.crew)(other, company.crew.rater_a, company.crew.rater_b, company.crew.adjudicator)
    Journal.begin(tmp_path, work().state(crew, SALT)).close()


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    """Until the first lets go."""
    state = work().state(Company().crew, SALT)
    first = Journal.begin(tmp_path, state)
    with pytest.raises(ConfigurationError, match="another run"):
        Journal.begin(tmp_path, state)
    first.close()
    first.close()
    Journal.begin(tmp_path, state).close()


@pytest.mark.parametrize("name", FILES)
async def test_a_damaged_line_is_refused_without_its_words(tmp_path: Path, name: str) -> None:
    """A whole line that is none of ours is no torn one; it is named by file and number."""
    await play(tmp_path, Company(), work=work())
    path = tmp_path / name
    lines = path.read_bytes().split(b"\n")
    lines[1] = b'{"text": "canary7731"}'
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=f"{name}: line 2") as caught:
        await play(tmp_path, Company(), work=work())
    assert "canary7731" not in str(caught.value)


async def test_a_batch_of_another_recipe_is_refused(tmp_path: Path) -> None:
    """An altered journal does not fill places with what was meant for others."""
    await play(tmp_path, Company(), work=work())
    path = tmp_path / "candidates.jsonl"
    first, *others = path.read_text(encoding="utf-8").splitlines()
    row = {**json.loads(first), "slots": [1]}
    path.write_text("\n".join([json.dumps(row), *others, ""]), encoding="utf-8")
    with pytest.raises(InputError, match="t1-b0001"):
        await play(tmp_path, Company(), work=work())


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    """Files without a state, a state that is none, and a path that is a file."""
    state = work().state(Company().crew, SALT)
    (tmp_path / "messages.jsonl").write_text("mine\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"holds files and no state\.json"):
        Journal.begin(tmp_path, state)
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is not the state of a run"):
        Journal.begin(tmp_path, state)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Journal.begin(tmp_path / "state.json", state)


async def test_files_are_for_their_owner(tmp_path: Path) -> None:
    """Fictional or not, messages look like people's."""
    folder = tmp_path / "run"
    await play(folder, Company(), work=work())
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


async def test_a_disk_that_takes_nothing_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and when there is room again it goes on."""
    real, company = os.write, Company()

    def full(file: int, data: bytes) -> int:
        return real(file, data[:20]) if len(company.asked) > 10 else real(file, data)

    with monkeypatch.context() as patched:
        patched.setattr("crisis_filter.experiments.lines.os.write", full)
        with pytest.raises(ConfigurationError, match="cannot be written whole"):
            await play(tmp_path, company, work=work())
    assert len(company.asked) == 11
    later = Company()
    assert (await play(tmp_path, later, work=work())).done
    assert sorted([*company.keys[:10], *later.keys]) == sorted(whole()[2])
    assert (tmp_path / "messages.jsonl").read_bytes() == whole()[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [("ratings-a.jsonl", "cannot be read or mended"), ("messages.jsonl", "cannot be written: ")],
)
async def test_what_is_in_the_way_is_named(tmp_path: Path, name: str, words: str) -> None:
    """A folder where a file belongs, when the run begins and when it is drawn up."""
    await play(tmp_path, Company(), work=work())
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    (tmp_path / name / "x").touch()
    with pytest.raises(ConfigurationError, match=rf"{name}: {words}"):
        await play(tmp_path, Company(), work=work())


async def test_a_file_that_is_taken_away_meanwhile_ends_the_run(tmp_path: Path) -> None:
    """With its name, and the journal is as good as before."""
    state = work().state(Company().crew, SALT)
    with Journal.begin(tmp_path, state) as journal:
        (tmp_path / "faults.jsonl").mkdir()
        trouble = Trouble(
            who="author", key="t1-b0001", finish="none", fault=Fault.TIMEOUT, replied=False, backend="b", attempts=1
        )
        with pytest.raises(ConfigurationError, match=r"faults\.jsonl: cannot be written"):
            journal.troubles.append(trouble)
        assert journal.troubles.records == []
