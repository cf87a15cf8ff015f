"""Evaluations to show: made by the real computation from labels and answers drawn with a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crisis_filter.evaluation.evaluate import evaluate
from crisis_filter.evaluation.gold import Gold, GoldRow
from crisis_filter.evaluation.records import Evaluation, Kind, Settings, System, Unscored
from crisis_filter.evaluation.runs import Answer, Run

CATEGORIES = (
    "abuse",
    "neglect",
    "eating_disorder",
    "psychosis",
    "self_harm",
    "suicide",
    "substance_misuse",
    "violence",
)
LABELLED_BY = "the authors of the set, none of them a clinician"
HOSTILE = """<script>alert("x")</script>' | `a` [b](http://c.example) \n<img src=x onerror=alert(1)>"""
SETTINGS = Settings(level=0.95, interval="wilson", adjustment="holm", resamples=100, seed=0, failures="wrong")


def made(
    crises: int = 120,
    others: int = 120,
    systems: Sequence[tuple[str, Kind, float]] = (
        ("crisis-filter", "assessments", 2.6),
        ("embedded engine alone", "assessments", 1.9),
        ("another guardrail", "binary", 1.0),
    ),
    *,
    settings: Settings = SETTINGS,
    prefix: str = "m",
    facet: str = "masked",
    seed: int = 1,
) -> Evaluation:
    """An evaluation of systems of given separation: the further, the better."""
    rng = np.random.default_rng(seed)
    rows: dict[str, GoldRow] = {}
    for at in range(crises + others):
        crisis = at < crises
        said = (
            frozenset(rng.choice(CATEGORIES, size=1 + (rng.random() < 0.15), replace=False).tolist())
            if crisis
            else frozenset()
        )
        facets = {facet: "yes" if rng.random() < 0.2 else "no", "words": ("up to 5", "6 to 12", "13 to 30")[at % 3]}
        name = f"{prefix}{at:04}"
        rows[name] = GoldRow(name, crisis, said, facets, None, f"gold.jsonl: line {at + 1}", f"fictional message {at}")
    gold = Gold("drawn set", ("gold.jsonl",), ("ab" * 32,), LABELLED_BY, rows, None)
    runs = [_run(name, kind, apart, rows, rng) for name, kind, apart in systems]
    return evaluate(gold, runs, CATEGORIES, settings, facets=(facet,))


def _run(name: str, kind: Kind, apart: float, rows: dict[str, GoldRow], rng: np.random.Generator) -> Run:
    answers = {at: _answer(row, kind, apart, rng) for at, row in rows.items()}
    whole = kind == "assessments"
    system = System(
        name=name,
        file=f"runs/{name}.jsonl",
        sha256="cd" * 32,
        kind=kind,
        detector="local:starter-v1" if whole else "not said",
        models=("starter-v1",) if whole else (),
        prompts=("screen reasoned-v1", "categorise reasoned-v1") if whole else (),
        taxonomy="clinical-v1" if whole else "",
        policy="default-v3" if whole else "",
        versions=("0.1.0",) if whole else (),
    )
    return Run(system, answers, ())


def _answer(row: GoldRow, kind: Kind, apart: float, rng: np.random.Generator) -> Answer:
    score = float(1 / (1 + np.exp(-(rng.normal() * 1.4 + (apart if row.crisis else -apart)))))
    if rng.random() < 0.01:
        return Answer("undetermined", None, None, frozenset() if kind == "assessments" else None, "timeout", row.place)
    crisis = score >= 0.35
    if kind == "binary":
        return Answer("crisis" if crisis else "no_crisis", None, None, None, None, row.place)
    said: frozenset[str] = frozenset()
    if crisis:
        kept = {one for one in row.categories or () if rng.random() < 0.9}
        wrong = {str(rng.choice(CATEGORIES))} if rng.random() < 0.12 else set()
        said = frozenset(kept | wrong)
    return Answer("crisis" if crisis else "no_crisis", round(score, 4), "engine", said, None, row.place)


def hostile() -> Evaluation:
    """Every word that a user gives is an attack on the page."""
    kinds = (("a", "assessments", 2.0), ("b", "binary", 1.0))
    found = made(20, 20, kinds, prefix=HOSTILE, facet=HOSTILE)
    systems = []
    for place, one in enumerate(found.systems):
        words = dict.fromkeys(("name", "file", "detector", "taxonomy", "policy", "cut"), HOSTILE)
        several = dict.fromkeys(("models", "prompts", "versions"), (HOSTILE,))
        system = System.model_validate({**one.system.model_dump(), **words, **several, "name": f"{HOSTILE}{place}"})
        screening = one.screening.model_copy(update={"faults": {HOSTILE: 3}})
        update: dict[str, object] = {"system": system, "screening": screening, "no_categories": HOSTILE}
        if isinstance(one.scores, Unscored):
            update["scores"] = Unscored(reason=HOSTILE)
        systems.append(one.model_copy(update=update))
    gold = found.gold.model_copy(update={"name": HOSTILE, "labelled_by": HOSTILE, "files": (HOSTILE,)})
    names = {one.system.name: f"{HOSTILE}{place}" for place, one in enumerate(found.systems)}
    pairs = tuple(p.model_copy(update={"first": names[p.first], "second": names[p.second]}) for p in found.pairs)
    return found.model_copy(
        update={"systems": tuple(systems), "gold": gold, "warnings": (HOSTILE,), "pairs": pairs, "version": HOSTILE}
    )
