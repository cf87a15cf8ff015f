"""An exception at any call that a message meets inside a baseline ends as undetermined, and its words end nowhere.

As in `tests/test_every_exception.py`, whose hook this uses: a clean run counts the calls, then each of them raises in turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crisis_filter.backends.moderation import Moderation
from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.baselines.base import Baseline
from crisis_filter.baselines.registry import MODERATION, BaselineSpec, open_baseline
from crisis_filter.schema import Assessment, Message
from tests.baselines.test_asking import NEGATIVES, POSITIVES
from tests.baselines.test_registry import Endpoint, _reply
from tests.injector import KINDS, SECRET, TALLY, Event, Injection, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <generator:pytest.PytestUnraisableExceptionWarning"),
]
CALLERS = ("Detector.assess", "assess")
"""Calls that fail before anything has begun are their caller's: no assessment comes back, and the caller knows it."""
TEXT = "canary7731 can I move my appointment"


def opened(name: str, text: str) -> Baseline:
    if name == MODERATION:
        endpoint = Endpoint(_reply())

        def instead(_: Moderation) -> Moderation:
            return endpoint

        return open_baseline(BaselineSpec(name=name, base_url="http://127.0.0.1:9/v1"), through_moderation=instead)
    spec = BaselineSpec(name=name, base_url="http://127.0.0.1:9/v1")
    return open_baseline(spec, through=lambda _: Scripted((ScriptedAnswer(text=text),)))


def assessing(name: str, reply: str) -> Callable[[], Coroutine[Any, Any, Assessment]]:
    """A way to assess one message again and again; the baseline is opened outside the hook."""
    detector = opened(name, reply)
    return lambda: detector.assess(Message(id="m", text=TEXT))


WAYS = {
    **{
        name: NEGATIVES[name] for name in ("llama-guard-3-8b", "nemoguard-8b", "qwen3guard-gen", "granite-guardian-4.1")
    },
    "gpt-oss-safeguard-20b": NEGATIVES["gpt-oss-safeguard-20b"],
    MODERATION: "",
}


@pytest.mark.parametrize("event", ["enter", "leave"])
@pytest.mark.parametrize("name", WAYS)
def test_an_exception_anywhere_clears_nothing(name: str, event: Event) -> None:
    """Of a message that a clean run clears."""
    work = assessing(name, WAYS[name])
    assert run(work, None).value.outcome == "no_crisis"
    clean = Injection(event)
    run(work, clean)
    kinds, wrong, made = list(KINDS), Counter[str](), 0
    step = max(1, clean.seen // 120)
    for at in range(1, clean.seen + 1, step):
        hook = Injection(event, at, KINDS[kinds[at % len(kinds)]])
        ran = run(work, hook)
        if not hook.place or hook.place in CALLERS:
            continue
        TALLY.add(hook.place, kinds[at % len(kinds)])
        made += 1
        if ran.value is None or ran.value.outcome == "no_crisis":
            wrong[f"{'nothing' if ran.value is None else 'cleared'} at {hook.place}"] += 1
        elif any(word in text for word in (SECRET, "canary7731") for text in (ran.log, repr(ran.value))):
            wrong[f"told at {hook.place}"] += 1
    assert not wrong
    assert made >= 15


def test_an_exception_beside_a_positive_does_not_clear_it() -> None:
    """It may cost the verdict, never turn it round."""
    work = assessing("granite-guardian-4.1", POSITIVES["granite-guardian-4.1"])
    clean = Injection("enter")
    run(work, clean)
    outcomes = set()
    for at in range(1, clean.seen + 1, max(1, clean.seen // 80)):
        ran = run(work, Injection("enter", at, KINDS["RuntimeError"]))
        outcomes.add(ran.value.outcome if ran.value is not None else None)
    assert outcomes <= {"crisis", "undetermined", None}
    assert "undetermined" in outcomes


def test_a_run_that_is_stopped_says_so() -> None:
    """Cancelling is no fault of the system that is asked."""

    async def stopped() -> None:
        task = asyncio.create_task(assessing("llama-guard-3-8b", "safe")())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
