"""What an experiment was begun with stays as it was: an edited state is noticed, and another one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.folder import Folder, read_experiment, state_of
from crisis_filter.experiments.states import STATE
from tests.experiments.trying import at, messages, parts, plan_file

URL = "http://127.0.0.1:9/v1"
PRICE = {"input": 1.0, "output": 2.0}


def begin(folder: Path, *, price: Any = PRICE, tests: dict[str, Any] | None = None, **changes: Any) -> Folder:
    """A folder of an experiment that nobody was asked for."""
    given = {"data": "messages.jsonl", "split": "development", "labelled_by": "us", **(tests or {})}
    bounds = {"incumbent": "terse-v2", "sensitivity_margin": 0.1}
    providers = [at(URL, "m", "m", price=price)]
    file = plan_file(folder, URL, providers=providers, tests=given, **{"acceptance": bounds, **changes})
    plan, made, data = parts(file)
    return Folder.begin(folder / "x", state_of(plan, made, data))


def change(state: dict[str, Any], place: str, value: Any) -> None:
    *way, last = place.split(".")
    for step in way:
        state = state[int(step)] if step.isdigit() else state[step]
    assert state[last] != value
    state[last] = value


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("plan.tests.split", "validation"),
        ("plan.acceptance.sensitivity_margin", 0.9),
        ("plan.acceptance", None),
        ("plan.providers.0.id", "openai:other"),
        ("labelled_by", "a clinician"),
        ("data", "another-v1 validation"),
        ("data_sha256", ["0" * 64]),
        ("variants.0.price.input", 0.1),
        ("variants.0.price", None),
        ("variants.0.fingerprint", "0" * 64),
        ("variants.0.screen.sha256", "0" * 64),
        ("prompts.0.system", "other words"),
        ("items.0.crisis", None),
        ("items.0.cluster", "z"),
        ("repeats", 2),
        ("sha256", "0" * 64),
    ],
)
def test_an_edited_state_is_refused(tmp_path: Path, place: str, value: Any) -> None:
    """Whoever reads the folder or goes on in it is told that it was changed."""
    messages(tmp_path)
    begin(tmp_path).close()
    path = tmp_path / "x" / STATE
    state = json.loads(path.read_text())
    change(state, place, not state["items"][0]["crisis"] if place == "items.0.crisis" else value)
    path.write_text(json.dumps(state))
    with pytest.raises(InputError, match="was changed after it began"):
        read_experiment(tmp_path / "x")
    with pytest.raises(InputError, match="was changed after it began"):
        begin(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"price": {"input": 0.1, "output": 2.0}}, "variant terse-v2 @ m had another price"),
        ({"price": None}, "variant terse-v2 @ m had another price"),
        ({"tests": {"labelled_by": "a clinician"}}, "labels by somebody else"),
        ({"tests": {"split": "training"}}, "were the split development and are training now"),
        ({"acceptance": None}, "other acceptance bounds"),
    ],
)
def test_another_experiment_gets_another_folder(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """A price, a labeller or a split that is said later is another experiment."""
    messages(tmp_path)
    begin(tmp_path).close()
    before = (tmp_path / "x" / STATE).read_bytes()
    with pytest.raises(ConfigurationError, match=said):
        begin(tmp_path, **changes)
    assert (tmp_path / "x" / STATE).read_bytes() == before


def test_pace_budget_and_words_may_change_and_the_folder_says_so(tmp_path: Path) -> None:
    """What holds now stands in the state, under the same hash."""
    messages(tmp_path)
    begin(tmp_path).close()
    before = read_experiment(tmp_path / "x").state
    options = {"maxConcurrency": 9, "reuse": False}
    with begin(tmp_path, budget={"requests": 5}, description="why", evaluateOptions=options) as folder:
        assert folder.state.plan.budget.requests == 5
    after = read_experiment(tmp_path / "x").state
    assert after.sha256 == before.sha256
    assert (after.plan.budget.requests, after.plan.description) == (5, "why")
    assert (after.plan.options.max_concurrency, after.plan.options.reuse) == (9, False)


def test_what_is_discarded_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    """The folders that it made are gone; one that was there, or is of a run, stays."""
    messages(tmp_path)
    plan, made, data = parts(plan_file(tmp_path, URL))
    state = state_of(plan, made, data)
    Folder.begin(tmp_path / "all/of/it", state).discard()
    assert not (tmp_path / "all").exists()
    (tmp_path / "x").mkdir()
    Folder.begin(tmp_path / "x", state).discard()
    assert list((tmp_path / "x").iterdir()) == []
    Folder.begin(tmp_path / "x", state).close()
    Folder.begin(tmp_path / "x", state).discard()
    assert read_experiment(tmp_path / "x").state == state
