"""The command `drill`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest


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


def test_nonsense_is_a_configuration_error(run: Callable) -> None:
    """Prepared answers cannot be drilled, and a fault has a name."""
    assert run("drill", "--fault", "nonsense", backend=False).status == 5
    assert run("drill", "--backend", "scripted:x.jsonl", backend=False).status == 5
