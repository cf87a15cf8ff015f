from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crisis_filter.assets import find
from crisis_filter.datasets.reading import load
from crisis_filter.errors import EngineError
from crisis_filter.local import artifact
from crisis_filter.local.engine import LocalEngine
from crisis_filter.stats.prevalence import prior_shift

SAME = 1e-4
SENTENCE = "i keep thinking everyone would be better off if i was gone for good"
FILLER = "could you tell me when the pharmacy opens on saturday because i need to pick up my refill "


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine.load()


class Session:
    """Stands in for the runtime with values a sound network never gives."""

    def __init__(self, value: float | None) -> None:
        self._value = value

    def run(self, _names: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self._value is None:
            raise RuntimeError(str(feed))
        return [np.full((len(feed["tokens"]), 9), self._value, np.float32)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=30) | st.integers(1, 20).map(lambda n: FILLER * n), max_size=5), st.randoms())
def test_a_verdict_never_depends_on_its_neighbours(engine: LocalEngine, others: list[str], rng: object) -> None:
    """Whatever shares the batch, and wherever in it, a message keeps its probabilities."""
    alone = engine.predict([SENTENCE])[0]
    place = len(others) // 2
    batch = [*others[:place], SENTENCE, *others[place:]]
    assert np.abs(engine.predict(batch)[place] - alone).max() < SAME


def test_the_order_of_a_batch_changes_nothing(engine: LocalEngine) -> None:
    """Real messages judged in one batch, in another order and one by one get the same probabilities."""
    texts = [row.text for row in load(find("data", "starter-v1"), "development")[:64]]
    together = engine.predict(texts)
    order = np.random.default_rng(5).permutation(len(texts))
    assert np.abs(engine.predict([texts[i] for i in order]) - together[order]).max() < SAME
    assert np.abs(np.stack([engine.score(text) for text in texts]) - together).max() < SAME


def test_an_engine_that_rounds_as_it_goes_runs_each_window_by_itself(engine: LocalEngine) -> None:
    """Then neighbours change nothing at all, not even the last digit, which sharing a run may do."""
    contents = artifact.read(artifact.bundled())
    card = contents.card.model_copy(update={"alone": True})
    alone = LocalEngine(replace(contents, card=card), engine._session)
    texts = [SENTENCE, FILLER * 12, "hi", *(row.text for row in load(find("data", "starter-v1"), "development")[:20])]
    together = alone.predict(texts)
    assert (np.stack([alone.predict([text])[0] for text in texts]) == together).all()
    assert np.abs(together - engine.predict(texts)).max() < SAME


def test_probabilities_have_the_shape_and_range_promised(engine: LocalEngine) -> None:
    """One row a text, one column a label, everything finite and between 0 and 1; no text gives no row."""
    table = engine.predict(["hi", "", "\ud800", "🥺", "自殺したい", "x" * 5000])
    assert table.shape == (6, len(engine.labels))
    assert np.isfinite(table).all()
    assert ((table >= 0) & (table <= 1)).all()
    assert engine.predict([]).shape == (0, len(engine.labels))


def test_a_crisis_at_the_end_of_a_long_text_is_read(engine: LocalEngine) -> None:
    """Words beyond one window count: a long harmless text with a crisis at its end scores like the crisis."""
    long = FILLER * 60
    threshold = engine.thresholds[0]
    assert engine.score(SENTENCE)[0] >= threshold
    assert engine.score(long + SENTENCE)[0] >= threshold
    assert engine.score(long + SENTENCE)[0] > engine.score(long)[0]


def test_a_long_text_takes_the_highest_of_its_windows(engine: LocalEngine) -> None:
    """Adding text after whole windows of a text that does not fit never lowers a label below what those windows gave."""
    window, step = engine.card.window - 2, engine.card.window - 2 - engine.card.overlap
    first = "one " * (window + 3 * step)
    assert window + 3 * step > engine.card.max_tokens - 2
    assert (engine.score(first + FILLER * 20) >= engine.score(first) - SAME).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_trouble_in_the_runtime_is_an_error_without_text(engine: LocalEngine, value: float | None) -> None:
    """A value that is not finite, or a failing runtime, raises our error; neither text nor cause rides along."""
    broken = LocalEngine(artifact.read(artifact.bundled()), Session(value))  # type: ignore[arg-type]
    with pytest.raises(EngineError) as caught:
        broken.predict([SENTENCE])
    assert "gone" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_engine_that_fails_its_self_test_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading tries the engine out, so a broken one is refused before the first message."""
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *args, **kwargs: Session(float("nan")))
    with pytest.raises(EngineError):
        LocalEngine.load()


def test_unread_text_is_told_apart(engine: LocalEngine) -> None:
    """The share of unknown tokens is 0 for plain English, 1 for nothing, and high for a script it cannot read."""
    assert engine.unknown(SENTENCE) == 0.0
    assert engine.unknown("") == 1.0
    assert engine.unknown("ꦱꦸꦒꦼꦁ ꦫꦮꦸꦃ") == 1.0


def test_one_engine_serves_many_threads(engine: LocalEngine) -> None:
    """Calls from several threads at once give the same probabilities as calls in turn."""
    texts = [f"{SENTENCE} {i}" for i in range(16)]
    in_turn = np.stack([engine.score(text) for text in texts])
    with ThreadPoolExecutor(4) as pool:
        at_once = np.stack(list(pool.map(engine.score, texts)))
    assert np.abs(at_once - in_turn).max() < SAME


@pytest.mark.parametrize(("name", "data"), [("starter-v1", "starter-v1"), ("standard-v1", "simulated-v1")])
def test_the_shipped_engine_is_as_good_as_its_card_says(name: str, data: str) -> None:
    """On development messages the counts printed on the card come out again."""
    engine = LocalEngine.load(artifact.bundled(name))
    rows = load(find("data", data), "development")
    flagged = engine.predict([row.text for row in rows])[:, 0] >= engine.thresholds[0]
    crisis = np.array([row.crisis for row in rows])
    figures = engine.card.figures["development"]
    assert isinstance(figures, dict)
    for name, count in (("sensitivity", flagged & crisis), ("specificity", ~flagged & ~crisis)):
        entry = figures[name]
        assert isinstance(entry, dict)
        assert int(count.sum()) == entry["count"]


@pytest.mark.parametrize("prevalence", [0.001, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.3, 0.5, 0.97, 1.0])
def test_a_prevalence_moves_a_probability_as_the_prior_shift_does(probability, prevalence):
    """And an engine that does not say where it was calibrated refuses."""
    engine = LocalEngine.load()
    engine.card = engine.card.model_copy(update={"calibrated_at": 0.4})
    expected = probability if probability in (0.0, 1.0) else float(prior_shift(probability, 0.4, prevalence))
    assert engine.at_prevalence(prevalence)(probability) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="strictly between"):
        engine.at_prevalence(1.0)


def test_a_text_that_fits_is_read_whole_and_a_longer_one_in_closer_windows():
    """Every token is in some window; one sentence among many that mean nothing is found."""
    engine = LocalEngine.load(artifact.bundled("standard-v1"))
    size, window = engine.card.max_tokens - 2, engine.card.window - 2
    assert engine._cuts([1] * size) == [[1] * size]
    tokens = list(range(size + 1))
    cuts = engine._cuts(tokens)
    assert {token for cut in cuts for token in cut} == set(tokens)
    assert max(map(len, cuts)) == window
    buried = f"{FILLER * 40} i want to end my life tonight, i wrote the goodbye letters. {FILLER * 40}"
    assert engine.score(buried)[0] >= engine.thresholds[0]
