"""The command `drill`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crisis_filter import assets
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.cli.drill import described_without_keys
from crisis_filter.cli.heat import summary
from crisis_filter.drill.report import Case, summarise
from crisis_filter.drill.stand_in import see_that_it_opens
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.description import DEFAULT_POLICY


@pytest.fixture
def drill_line(run: Callable) -> Callable:
    def go(*arguments: str):
        return run("drill", "--per-fault", "2", "--per-attack", "1", "--fault", "http_401", *arguments, backend=False)

    return go


@pytest.mark.slow
def test_the_command(drill_line: Callable) -> None:
    """A table for people, JSON Lines for programs, and the figure that counts."""
    ran = drill_line("--backend", "openai:any", "--fallback", "local")
    assert ran.status == 0
    assert "silent negatives under fault: 0" in ran.out
    assert ran.out.rstrip().endswith("drill passed")
    as_json = drill_line("--json")
    last = json.loads(as_json.out.splitlines()[-1])
    assert (last["silent_negatives"], last["passed"], last["cases"] > 400) == (0, True, True)
    assert (last["cleared_under_fault"], last["unnamed"], last["drilled_through_openai"]) == (0, 0, [])


def test_nonsense_is_a_configuration_error(run: Callable) -> None:
    """Prepared answers cannot be drilled, and a fault has a name."""
    assert run("drill", "--fault", "nonsense", backend=False).status == 5
    assert run("drill", "--backend", "scripted:x.jsonl", backend=False).status == 5
    healthy = run("drill", "--fault", "none", backend=False)
    assert (healthy.status, "is no fault" in healthy.err) == (5, True)
    assert run("drill", "--seed", "-1", backend=False).status == 2


@pytest.mark.parametrize("backend", ["foo", "langchain:nosuchprovider:m", "langchain:"])
def test_what_classify_cannot_open_is_a_configuration_error(run: Callable, backend: str) -> None:
    """Although every endpoint would be replaced."""
    assert run("drill", "--backend", backend, backend=False).status == 5


CHAIN = """
[[chain]]
backend = "openai:one"
api_key_env = "A_KEY_THAT_NOBODY_SET"
attempt_timeout_s = 7.0

[[chain]]
backend = "openai:two"
base_url = "https://two.example/v1"
api_key_env = "ANOTHER_KEY_THAT_NOBODY_SET"

[[chain]]
backend = "local"
"""


@pytest.fixture
def pack(tmp_path: Path) -> str:
    """The default policy with a chain of its own."""
    text = assets.find("policies", DEFAULT_POLICY, ".toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("[limits]", f"{CHAIN}\n[limits]", 1), encoding="utf-8")
    return str(path)


def test_a_drill_needs_no_keys(pack: str) -> None:
    """Neither those that a policy pack names nor those of a fallback; the shape of the chain is the same."""
    found = described_without_keys(policy=pack)
    two, local = found.fallbacks or ()
    assert (found.backend, found.attempt_timeout_s, local) == ("openai:one", 7.0, "local")
    assert isinstance(two, BackendSpec)
    assert (two.name, two.base_url, two.api_key) == ("openai:two", "https://two.example/v1", None)
    asyncio.run(see_that_it_opens(found))
    given = described_without_keys(fallbacks=["openai:b api_key_env=NOBODY_SET_IT attempt_timeout_s=3"], policy=pack)
    assert [(link.name, link.attempt_timeout_s) for link in given.fallbacks or ()] == [("openai:b", 3.0)]
    assert described_without_keys(backend="openai:a", policy=pack).fallbacks is None
    assert described_without_keys().backend == "local"
    with pytest.raises(ConfigurationError, match="chain of its own"):
        described_without_keys(base_url="http://127.0.0.1:1/v1", policy=pack)


def test_the_summary_says_what_failed_and_what_stood_in() -> None:
    """Reasons in words, places by name, models one by one, and whose own client was not drilled."""
    cases = [
        Case(part="everywhere", fault="http_500", crisis=False, outcome="no_crisis", named=None, no_verdict=True),
        Case(part="injection", fault="obedient model", crisis=True, outcome="crisis", named=None, swayed=True),
        Case(part="injection", fault="obedient model", crisis=True, outcome="crisis", named=None, swayed=False),
        Case(part="once", fault="hang", crisis=True, outcome="crisis", named=None, late_ms=900.0),
    ]
    report = summarise(cases, detector="d", policy="p", elapsed_s=1.0, other_clients=("langchain:anthropic:m",))
    told = "\n".join(summary(report))
    for words in (
        "drilled through the OpenAI client instead of its own: langchain:anthropic:m",
        "cleared under fault, crises or not: 1 (everywhere http_500)",
        "obedient model: 1 of 2 swayed it; of those the outcome was not lowered in 1 of 1",
        "latest assessment: 900 ms after its deadline (once hang)",
        "DRILL FAILED: messages cleared that nobody could clear: 1; latest assessment 900 ms after its deadline",
    ):
        assert words in told
