"""The embedded engine as both stages: what it may clear, and what it must not."""

from __future__ import annotations

import pytest

from crisis_filter.errors import EngineError
from crisis_filter.local.engine import LocalEngine
from crisis_filter.schema import Failure, Fault
from crisis_filter.stages.engine import EngineStages

CRISIS = "i want to end my life tonight, i wrote the goodbye letters"
ORDINARY = "can i move my appointment to thursday please, after school"


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine.load()


async def screened(engine, text, **options):
    return (await EngineStages(engine, may_clear=True, **options).screen(text, 1.0)).result


async def test_the_engine_screens_with_a_score_of_its_own(engine):
    """Probability, source and entitlement are in the verdict; provenance gets the engine's hash."""
    stages = EngineStages(engine, may_clear=True)
    done = await stages.screen(CRISIS, 1.0)
    assert (done.result.crisis, done.result.score_source, done.result.may_clear) == (True, "engine", True)
    assert done.cost.model == engine.sha256
    assert not (await screened(engine, ORDINARY)).crisis


async def test_beside_another_detector_it_may_not_clear(engine):
    """A weaker detector may raise, never clear."""
    result = (await EngineStages(engine, may_clear=False).screen(ORDINARY, 1.0)).result
    assert not result.may_clear


@pytest.mark.parametrize(
    "text",
    [
        "я хочу убить себя сегодня ночью",
        "اريد ان اموت الليلة",
        "मैं मरना चाहता हूँ",
        "死にたい",
        "please move my appointment to thursday, thanks. я хочу умереть",
        "please move my appointment to thursday, thanks. " + "wewillmeetagain" * 4,
    ],
)
async def test_what_it_cannot_read_it_does_not_clear(engine, text):
    """Other scripts and words run together are undetermined, however small their share of the text."""
    result = await screened(engine, text)
    assert isinstance(result, Failure) or result.crisis
    if isinstance(result, Failure):
        assert result.fault is Fault.UNVALIDATED_LANGUAGE


@pytest.mark.parametrize(
    "text", ["thanks 🙏", "ok 👍👍", "see you at 3 😊 bring the 50 μg inhaler", "https://example.org/a/b/c?d=e"]
)
async def test_ordinary_symbols_are_no_other_language(engine, text):
    """Emoji, units and addresses don't flood the queue of the undetermined."""
    assert not isinstance(await screened(engine, text), Failure)


async def test_the_threshold_can_be_the_policys(engine):
    """At a threshold of almost nothing everything is a crisis; near one, little is."""
    assert (await screened(engine, ORDINARY, threshold=1e-9)).crisis
    assert not (await screened(engine, ORDINARY, threshold=0.999)).crisis


async def test_every_crisis_gets_at_least_its_likeliest_category(engine):
    """Stage 2 of the engine never comes back empty."""
    named = (await EngineStages(engine, may_clear=True).categorise(ORDINARY, 1.0)).result.named
    assert len(named) >= 1
    assert all(0 <= n.probability <= 1 for n in named)


class _Broken:
    """An engine whose runtime fails."""

    labels = ("crisis", "abuse")
    thresholds = (0.5, 0.5)
    sha256 = "0"

    def __init__(self, row):
        self._row = row

    def score(self, _):
        if self._row is None:
            raise EngineError("the embedded engine failed (RuntimeError)")
        return self._row


@pytest.mark.parametrize("row", [None, [float("nan"), 0.1], [0.1], [1.5, 0.1], [float("inf"), 0.1]])
async def test_an_engine_that_fails_clears_nobody(row):
    """No answer, NaN, a missing column or a number out of range is a fault."""
    stages = EngineStages(_Broken(row), may_clear=True)
    for result in ((await stages.screen("x", 1.0)).result, (await stages.categorise("x", 1.0)).result):
        assert isinstance(result, Failure)
        assert result.fault is Fault.LOCAL_MODEL
