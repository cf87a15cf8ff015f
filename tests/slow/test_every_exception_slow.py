"""More kinds of exceptions at every call, on every way, and over a real connection (see `tests/test_every_exception.py`)."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from crisis_filter.backends.chain import Chain
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.schema import Assessment, Message
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from tests.backends.asking import open_openai
from tests.fault_server import Answer, Received, chat, serve_faults
from tests.injector import KINDS, Event, Injection, run
from tests.pipeline.test_filter import CATEGORISE, PACK, SCREEN, TAXONOMY
from tests.strategies import CATEGORIES
from tests.ways import CALLER, CRISIS, POLICY, SUICIDE, WAYS, YES, Sweep, each_call, each_function

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    # A coroutine that was made and, because of the injection, never run.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    # The hook was met as the collector put a generator away, which has no caller to raise to.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <generator:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_at_any_function(way: str) -> None:
    """Raised as a function of the package is entered, of several kinds where no engine runs."""
    each_call(way, "enter", kinds_each=1 if WAYS[way].slow else 3)


@pytest.mark.parametrize("way", ["one view", "cleared by votes"])
def test_every_kind_of_exception_at_any_function(way: str) -> None:
    """The same with every kind at every call."""
    each_call(way, "enter", kinds_each=len(KINDS))


@pytest.mark.parametrize("way", WAYS)
def test_a_result_that_is_lost(way: str) -> None:
    """Raised as a function of the package returns: what it did is done, and what it found is gone."""
    each_call(way, "leave")


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_at_any_call_out_of_the_package(way: str) -> None:
    """Raised by what the package calls: the standard library, pydantic, a regular expression, the runtime of the engine."""
    each_call(way, "outside")


@pytest.mark.parametrize("way", WAYS)
def test_a_function_that_always_fails(way: str) -> None:
    """A bug is there the second time as well, when the assessment of the failure is made."""
    each_function(way, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_always_fails_in_every_kind(kind: str) -> None:
    """The same on one way with every kind."""
    each_function("one view", [kind])


def _answering(request: Received) -> Answer:
    """A real answer to the real request: it echoes the nonce."""
    user = request.body["messages"][-1]["content"]
    stage = SUICIDE if "suicide" in json.dumps(request.body.get("response_format", {})) else YES
    nonce = re.findall(r"[0-9a-f]{8,}", user)[0]
    return chat(json.dumps({"nonce": nonce, **(stage.answer or {})}))


async def _asked(hook: Injection | None) -> Assessment:
    async with serve_faults() as server:
        server.answer(_answering)
        link = open_openai(server.url, attempts=1)
        backend = Chain([link], attempts=1, rng=np.random.default_rng(0))
        stages = TwoStages(
            "openai", PromptedScreen(backend, SCREEN), PromptedCategorise(backend, CATEGORISE, CATEGORIES)
        )
        one = CrisisFilter(stages, TAXONOMY, POLICY, PACK)
        sys.setprofile(hook)
        try:
            return await one.assess(Message(id="m", text=CRISIS))
        finally:
            sys.setprofile(None)
            await link.aclose()


@pytest.mark.parametrize("event", ["enter", "leave"])
def test_a_real_client_and_a_real_server(event: Event) -> None:
    """The endpoint is asked over HTTP, so that the reading of its answer is hit as well."""
    run(lambda: _asked(None), None)
    clean = Injection(event)
    assert run(lambda: _asked(clean), None).value.outcome == "crisis"
    kinds, sweep = list(KINDS), Sweep("the model says so")
    for at in range(1, clean.seen + 1):
        kind = kinds[at % len(kinds)]
        hook = Injection(event, at, KINDS[kind])
        ran = run(lambda: _asked(hook), None)  # noqa: B023  # run at once
        if hook.place and hook.place != CALLER:
            sweep.note(ran, hook.place, kind)
    sweep.check(at_least=100)
