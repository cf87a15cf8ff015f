"""What a cascade saved, and what its sample says of the crises among the cleared."""

from __future__ import annotations

from itertools import count

import pytest
from pydantic import ValidationError
from scipy.stats import beta

from crisis_filter.errors import Fault, InputError
from crisis_filter.evaluation.cascading import Prices, cascade_report, read_assessments
from crisis_filter.schema import Assessment, CascadeStep, Finding, PromptRef, Provenance

CLEARING = PromptRef(id="clearing below 0.01", sha256="c" * 64)


_ids = count()


def assessed(step: str | None, outcome: str = "no_crisis", *, tokens: int = 0, engine: str = "e") -> Assessment:
    cascade = CascadeStep(step=step, score=0.001, engine=engine, clearing=CLEARING) if step else None
    asked = step != "cleared"
    return Assessment(
        id=str(next(_ids)),
        outcome=outcome,
        fault=Fault.TIMEOUT if outcome == "undetermined" else None,
        findings=(Finding(category="suicide"),) if outcome == "crisis" else (),
        provenance=Provenance(
            detector="cascade",
            version="0",
            cascade=cascade,
            attempts=int(asked),
            prompt_tokens=tokens,
            completion_tokens=tokens // 10,
        ),
    )


RUN = [
    *[assessed("cleared") for _ in range(70)],
    *[assessed("sampled", tokens=1000) for _ in range(8)],
    assessed("sampled", "crisis", tokens=3000),
    assessed("sampled", "undetermined", tokens=1000),
    *[assessed("asked", tokens=5000) for _ in range(12)],
    *[assessed("asked", "crisis", tokens=3000) for _ in range(8)],
]


def test_every_message_is_counted_once_and_savings_are_those_of_messages_alike():
    """A cleared one would have cost what the average sampled message that is no crisis did."""
    found = cascade_report(RUN, Prices(prompt=2.0, completion=10.0))
    assert (found.messages, found.cleared.count, found.asked, found.sampled) == (100, 70, 30, 10)
    assert found.sampled_outcomes == {"no_crisis": 8, "crisis": 1, "undetermined": 1}
    assert (found.spent.requests, found.spent.prompt_tokens) == (30, 8_000 + 3_000 + 1_000 + 60_000 + 24_000)
    assert found.saved.requests == pytest.approx(70)
    assert found.saved.prompt_tokens == pytest.approx(70_000)
    assert found.saved.money == pytest.approx(70_000 * 2e-6 + 7_000 * 10e-6)
    assert found.spent.money == pytest.approx(96_000 * 2e-6 + 9_600 * 10e-6)
    assert cascade_report(RUN).saved.money is None


def test_the_sample_bounds_the_crises_among_the_cleared():
    """Exactly, and an undetermined one counts as a crisis."""
    found = cascade_report(RUN).crises_among_cleared
    assert (found.count, found.nobs) == (2, 10)
    assert found.high == pytest.approx(beta.ppf(0.975, 3, 8))
    assert cascade_report([assessed("cleared"), assessed("asked")]).crises_among_cleared is None


def test_without_a_message_alike_the_savings_are_not_known():
    """Nothing like the cleared was asked about: only crises in the sample, or none."""
    others = [assessed("asked", tokens=10), assessed("sampled", "crisis", tokens=10)]
    assert cascade_report([assessed("cleared"), *others]).saved is None
    assert cascade_report([assessed("cleared"), *others]).messages_in_doubt == 1


def test_mixed_runs_show_and_others_are_refused(tmp_path):
    """More than one engine is listed; an assessment without a cascade, no assessment, no file."""
    assert cascade_report([assessed("cleared"), assessed("cleared", engine="f")]).engines == ("e", "f")
    with pytest.raises(InputError, match="1 of 2 assessments were made by something else"):
        cascade_report([assessed("cleared"), assessed(None)])
    with pytest.raises(InputError, match="no assessments"):
        cascade_report([])
    with pytest.raises(InputError, match="1 ids come more than once"):
        cascade_report([RUN[0], RUN[1], RUN[0]])
    for price in (float("inf"), float("nan"), -1.0):
        with pytest.raises(ValidationError):
            Prices(prompt=price, completion=0.0)
    path = tmp_path / "a.jsonl"
    path.write_text(f'{RUN[0].model_dump_json()}\n\n{{"text": "MARKER"}}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 3: is no assessment") as error:
        list(read_assessments(path))
    assert "MARKER" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        list(read_assessments(tmp_path / "none.jsonl"))
