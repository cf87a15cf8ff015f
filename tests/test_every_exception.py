"""An exception at any call that a message meets on its way ends at a person, and its words end nowhere.

Each way is run once to count the calls, then once more for each call, which raises (`tests/injector.py` says how), and once for each
function of the package, which then raises at every call. Here the kinds of exceptions are taken in turn; more of them, and every way,
are in `tests/slow/test_every_exception_slow.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.schema import Assessment, Conclusion, Failure, Flag, Message, ScreenVerdict, conclude
from tests.injector import KINDS, SECRET, TALLY, Injection, Ran, run
from tests.pipeline.test_filter import said
from tests.ways import CRISIS, NO, ORDINARY, WAYS, WORDS, Way, each_call, each_function, wrong

pytestmark = [
    # A coroutine that was made and, because of the injection, never run.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    # The hook was met as the collector put a generator away, which has no caller to raise to.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <generator:pytest.PytestUnraisableExceptionWarning"),
]

FAST = ("one view", "one vote", "the second endpoint", "an attack", "cleared")


@pytest.mark.parametrize("way", FAST)
def test_an_exception_at_any_function_ends_at_a_person(way: str) -> None:
    """Raised as a function of the package is entered, on ways that differ in what makes the outcome."""
    each_call(way, "enter")


@pytest.mark.parametrize("way", ["one view", "cleared"])
def test_a_function_that_always_fails_ends_at_a_person(way: str) -> None:
    """A bug is there the second time as well, when the assessment of the failure is made."""
    each_function(way, KINDS)


@pytest.mark.parametrize(
    ("way", "function"), [("cleared", "views"), ("cleared", "attack_seen"), ("one view", "join_findings")]
)
def test_an_iterator_that_runs_dry_in_a_thread_does_not_hang(way: str, function: str) -> None:
    """A bare `next()` in what runs in a thread: waited for for ever, the message would be lost."""
    run(WAYS[way].assess, None)
    hook = Injection("enter", 1, lambda: StopIteration(SECRET), only=function)
    ran = run(WAYS[way].assess, hook, most_s=1.0)
    assert hook.place == function
    assert wrong(ran, WAYS[way], function) is None


def test_a_filter_that_swallows_exceptions_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a failed reading left out of the conclusion, the sweep would say so."""

    def forgiving(results: Sequence[ScreenVerdict | Failure], flags: frozenset[Flag] = frozenset()) -> Conclusion:
        return conclude([r for r in results if isinstance(r, ScreenVerdict)], flags)

    monkeypatch.setattr("crisis_filter.pipeline.judge.conclude", forgiving)
    with pytest.raises(AssertionError, match="a silent negative"):
        each_call("one view", "enter")


def test_each_law_is_looked_after() -> None:
    """What would be wrong is called by its name."""
    way = WAYS["the model says so"]
    good: Assessment = run(way.assess, None).value
    assert good.disposition is not None
    unread = good.model_copy(update={"disposition": good.disposition.model_copy(update={"queue": "nowhere"})})
    told = good.model_copy(update={"fault_detail": SECRET})
    cleared: Assessment = run(WAYS["cleared"].assess, None).value
    assert wrong(Ran(good), way, "") is None
    assert wrong(Ran(error=RuntimeError()), way, "") == "no assessment came back"
    assert wrong(Ran(good, log=SECRET), way, "") == "words got out"
    assert wrong(Ran(told), way, "") == "words got out"
    assert wrong(Ran(unread), way, "") == "nobody reads it"
    assert wrong(Ran(cleared), way, "") == "a silent negative"
    assert wrong(Ran(cleared), WAYS["cleared"], "") == "cleared in spite of an exception"


SPEECHLESS = frozenset({"Feed._post"})
"""A source's thread has no other way to say that it has failed than this one."""


async def _many(hooked: CrisisFilter) -> list[Assessment]:
    texts = (ORDINARY, CRISIS, ORDINARY)
    return [a async for a in hooked.assess_many(Message(id=str(i), text=t) for i, t in enumerate(texts))]


def test_among_many_messages_the_others_go_on() -> None:
    """One exception costs at most one message its verdict, or the run ends aloud; the crisis is never cleared."""
    way = Way(CRISIS, "crisis", (said(True, when="want to die"), NO))
    clean = Injection("enter")
    run(lambda: _many(way.filter()), None)
    run(lambda: _many(way.filter()), clean)
    kinds, made = list(KINDS), 0
    for at in range(1, clean.seen + 1, 3):
        kind = kinds[at % len(kinds)]
        hook = Injection("enter", at, KINDS[kind], never=SPEECHLESS)
        ran = run(lambda: _many(way.filter()), hook)
        if not hook.place:
            continue
        TALLY.add(hook.place, kind)
        assert not any(word in ran.log for word in WORDS)
        if ran.value is None:
            assert hook.place.startswith(("Feed.", "CrisisFilter.assess", "_taken", "_end")), hook.place
            assert not isinstance(ran.error, TimeoutError) or str(ran.error) == SECRET, f"hangs: {hook.place}"
            continue
        made += 1
        outcomes = [a.outcome for a in ran.value]
        assert len(outcomes) == 3, hook.place
        assert outcomes[1] != "no_crisis", hook.place
        assert sum(a != b for a, b in zip(outcomes, ("no_crisis", "crisis", "no_crisis"), strict=True)) <= 1
    assert made > 50
