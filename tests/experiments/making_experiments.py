"""Experiments to show and to compare: answers drawn with a seed, all records as a real run would write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from crisis_filter.errors import Fault
from crisis_filter.experiments.plan import Plan, Price
from crisis_filter.experiments.records import Cell, Experiment, Item, PromptText, Spent, State, Variant
from crisis_filter.schema import SEVERITIES, Assessment, Evidence, Finding, Outcome, PromptRef, Provenance, Screening

CATEGORIES = ("abuse", "eating_disorder", "psychosis", "self_harm", "suicide", "violence")
LABELLED_BY = "the authors of the set, none of them a clinician"
TEXT, REASON, QUOTE = "words-of-a-message", "reason-of-a-model", "quote-of-a-message"
"""Stand in every message, in all reasoning and in every quote, so that a test can look for them."""
HOSTILE = """<script>alert("x")</script>' | `a` [b](http://c.example) \n<img src=x onerror=alert(1)>"""

_FAULTS = (Fault.TIMEOUT, Fault.SCHEMA, Fault.REFUSAL_PROSE)
_STABLE = """You read one message and decide whether it shows a crisis.

# How the two mistakes weigh

A missed crisis is the worst mistake. A false alarm is the second worst.
When the words can be read either way, {choice}.

# How to read

1. Read to the last word.
2. Ask of each kind in turn whether anything bears on it.
{more}"""
_CHANGING = "The message stands between the marks {{{{ nonce }}}}.\n{{{{ message }}}}\n{ending}"


@dataclass(frozen=True, slots=True)
class Judge:
    """A variant to draw answers for."""

    prompt: str | None
    provider: str
    sensitivity: float = 0.95
    specificity: float = 0.95
    undetermined: float = 0.02
    wavering: float = 0.03
    """The chance that a repeat says other than the item's usual answer."""
    cleverer: str = ""
    """Words that its prompt has more."""


JUDGES = (
    Judge("plain-v1", "model-a", 0.93, 0.95),
    Judge("reasoned-v2", "model-a", 0.97, 0.94, cleverer="3. Allow for spelling, slang and code words.\n"),
    Judge(None, "local", 0.88, 0.97, 0.0, 0.0),
)


def experiment(
    crises: int = 30,
    others: int = 30,
    judges: Sequence[Judge] = JUDGES,
    *,
    repeats: int = 3,
    split: str = "validation",
    acceptance: dict[str, Any] | None = None,
    clusters: int | None = None,
    prefix: str = "m",
    seed: int = 1,
) -> Experiment:
    """A finished experiment.

    Args:
        crises: labelled messages that are crises; ids are the prefix and four digits, crises first.
        others: labelled messages that are none.
        judges: the variants.
        repeats: answers for each message and variant.
        split: what the messages are used for.
        acceptance: declared bounds, as in the file of an experiment.
        clusters: messages take turns in so many clusters; `None` for none.
        prefix: of the ids.
        seed: of the answers.
    """
    rng = np.random.default_rng(seed)
    items = tuple(_item(at, at < crises, rng, prefix, clusters) for at in range(crises + others))
    variants = tuple(map(_variant, judges))
    cells: dict[tuple[str, str, int], Cell] = {}
    for judge, variant in zip(judges, variants, strict=True):
        for item in items:
            usual = _usual(judge, item, rng)
            for repeat in range(1, repeats + 1):
                outcome = usual if rng.random() >= judge.wavering else _other(usual)
                answer = assessment(item, outcome, variant, rng)
                key = (variant.id, item.id, repeat)
                cells[key] = Cell(variant=variant.id, item=item.id, repeat=repeat, assessment=answer)
    state = State(
        sha256="ab" * 32,
        plan=_plan(judges, split, repeats, acceptance),
        variants=variants,
        prompts=tuple(_prompts(judges)),
        data=f"drawn-v1, {split}",
        data_sha256=("cd" * 32,),
        labelled_by=LABELLED_BY,
        items=items,
        repeats=repeats,
        version="0.1.0",
    )
    return Experiment("prompts-in-spring", state, cells, {v.id: _spent(v, cells.values()) for v in variants})


def texts_of(one: Experiment) -> dict[str, str]:
    """A made-up message for every item."""
    return {item.id: f"{TEXT} {item.id}: could somebody\ncall me back, please" for item in one.state.items}


def without(one: Experiment, keys: Iterable[tuple[str, str, int]]) -> Experiment:
    """The same, where these were not asked yet."""
    gone = set(keys)
    return replace(one, cells={key: cell for key, cell in one.cells.items() if key not in gone})


def hostile(crises: int = 12, others: int = 12) -> Experiment:
    """Every word that a user or a model gives is an attack on the page."""
    judges = (Judge(HOSTILE, HOSTILE, 0.7, 0.8, 0.2), Judge(f"2{HOSTILE}", HOSTILE, 0.9, 0.7, 0.2, cleverer=HOSTILE))
    found = experiment(crises, others, judges, prefix=HOSTILE)
    state = found.state.model_copy(update={"data": HOSTILE, "labelled_by": HOSTILE, "version": HOSTILE})
    plan = state.plan.model_copy(update={"description": HOSTILE, "tags": {HOSTILE: HOSTILE}})
    items = tuple(item.model_copy(update={"categories": (HOSTILE,)}) for item in state.items)
    cells = {
        key: cell.model_copy(update={"assessment": _attacking(cell.assessment)}) for key, cell in found.cells.items()
    }
    return replace(found, name=HOSTILE, state=state.model_copy(update={"plan": plan, "items": items}), cells=cells)


def assessment(item: Item, outcome: Outcome, variant: Variant, rng: np.random.Generator) -> Assessment:
    """One answer of that outcome."""
    by_prompt = variant.prompt is not None
    score = {"crisis": 0.7, "undetermined": 0.4, "no_crisis": 0.05}[outcome] + 0.25 * float(rng.random())
    fault = _FAULTS[int(rng.integers(len(_FAULTS)))] if outcome == "undetermined" else None
    reason = f"{REASON} for {item.id}" if by_prompt else None
    scored = fault is None
    return Assessment(
        id=item.id,
        outcome=outcome,
        score=round(score, 3) if scored else None,
        score_source=("stated" if by_prompt else "engine") if scored else None,
        findings=tuple(_findings(item, rng, reason)) if outcome == "crisis" else (),
        fault=fault,
        fault_detail="no answer within the deadline" if fault is Fault.TIMEOUT else "",
        screen=Screening(subject="self", timeframe="current", rationale=reason if scored else None),
        provenance=Provenance(
            detector="openai:model-a" if by_prompt else "local:standard-v1",
            model=f"{variant.provider}-2026-10-01",
            prompts=tuple(ref for ref in (variant.screen, variant.categorise) if ref is not None),
            version="0.1.0",
            attempts=1 if by_prompt else 0,
            prompt_tokens=int(rng.integers(900, 1100)) if by_prompt else 0,
            completion_tokens=int(rng.integers(80, 160)) if by_prompt else 0,
        ),
    )


def _item(at: int, crisis: bool, rng: np.random.Generator, prefix: str, clusters: int | None) -> Item:
    name = f"{prefix}{at:04}"
    said = rng.choice(CATEGORIES, size=1 + int(rng.random() < 0.15), replace=False).tolist() if crisis else []
    cluster = None if clusters is None else f"author-{at % clusters}"
    return Item(id=name, crisis=crisis, categories=tuple(said), cluster=cluster, text_sha256=_digest(name))


def _variant(judge: Judge) -> Variant:
    """`plain-v1@model-a`, or `local`."""
    takes = judge.prompt is not None
    stable, changing = _words(judge)
    name = f"{judge.prompt}@{judge.provider}" if takes else judge.provider
    return Variant(
        id=name,
        prompt=judge.prompt,
        provider=judge.provider,
        screen=PromptRef(id=f"screen/{judge.prompt}", sha256=_digest(stable + changing)) if takes else None,
        categorise=PromptRef(id="categorise/reasoned-v2", sha256=_digest("categorise")) if takes else None,
        fingerprint=_digest(name),
        price=Price(input=1.0, output=4.0) if takes else None,
    )


def _words(judge: Judge) -> tuple[str, str]:
    choice = "mark it as a crisis" if judge.cleverer else "decide by the whole message"
    ending = "Answer with the mark." if judge.cleverer else "Answer now."
    return _STABLE.format(choice=choice, more=judge.cleverer), _CHANGING.format(ending=ending)


def _prompts(judges: Sequence[Judge]) -> Iterable[PromptText]:
    seen = set()
    for judge in judges:
        ref = _variant(judge).screen
        if ref is not None and ref.sha256 not in seen:
            seen.add(ref.sha256)
            stable, changing = _words(judge)
            yield PromptText(id=ref.id, sha256=ref.sha256, system=stable, user=changing)
    if seen:
        digest = _digest("categorise")
        yield PromptText(id="categorise/reasoned-v2", sha256=digest, system="Name the kinds.\n", user="{{ message }}\n")


def _plan(judges: Sequence[Judge], split: str, repeats: int, acceptance: dict[str, Any] | None) -> Plan:
    prompts = {judge.prompt: {"label": judge.prompt[:80], "screen": judge.prompt} for judge in judges if judge.prompt}
    providers = {judge.provider: {"id": judge.provider[:80], "label": judge.provider[:80]} for judge in judges}
    return Plan.model_validate(
        {
            "description": "Does it help to ask for reasons first?",
            "prompts": list(prompts.values()),
            "providers": list(providers.values()),
            "tests": {"data": "drawn-v1", "split": split},
            "evaluateOptions": {"repeat": repeats},
            "acceptance": acceptance,
        }
    )


def _usual(judge: Judge, item: Item, rng: np.random.Generator) -> Outcome:
    if rng.random() < judge.undetermined:
        return "undetermined"
    right = rng.random() < (judge.sensitivity if item.crisis else judge.specificity)
    return "crisis" if right == item.crisis else "no_crisis"


def _other(usual: Outcome) -> Outcome:
    return "no_crisis" if usual == "crisis" else "crisis"


def _findings(item: Item, rng: np.random.Generator, reason: str | None) -> Iterable[Finding]:
    for category in item.categories or (str(rng.choice(CATEGORIES)),):
        severity = SEVERITIES[int(rng.integers(len(SEVERITIES)))] if reason else None
        evidence = (Evidence(quote=f"{QUOTE} {item.id}", start=0, end=len(QUOTE)),) if reason else ()
        yield Finding(category=category, severity=severity, subject="self", evidence=evidence, rationale=reason)


def _spent(variant: Variant, cells: Iterable[Cell]) -> Spent:
    mine = [cell.assessment.provenance for cell in cells if cell.variant == variant.id]
    tokens = sum(one.prompt_tokens for one in mine), sum(one.completion_tokens for one in mine)
    money = variant.price.of(*tokens) if variant.price else 0.0
    return Spent(
        requests=sum(one.attempts for one in mine), prompt_tokens=tokens[0], completion_tokens=tokens[1], money=money
    )


def _attacking(one: Assessment) -> Assessment:
    findings = tuple(
        finding.model_copy(update={"category": HOSTILE, "rationale": HOSTILE, "evidence": (_hostile_quote(),)})
        for finding in one.findings
    )
    screen = one.screen.model_copy(update={"rationale": HOSTILE})
    provenance = one.provenance.model_copy(update={"model": HOSTILE, "detector": HOSTILE})
    words = {"findings": findings, "fault_detail": HOSTILE if one.fault else "", "screen": screen}
    return one.model_copy(update={**words, "provenance": provenance})


def _hostile_quote() -> Evidence:
    return Evidence(quote=HOSTILE, start=0, end=len(HOSTILE))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
