"""New prompts and the experiments in which they stood against a released one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crisis_filter import assets
from crisis_filter.experiments.plan import PromptChoice
from crisis_filter.experiments.promoting import Promotion, PromotionError, promote
from crisis_filter.experiments.records import Cell, Experiment, Variant
from crisis_filter.experiments.replaying import Replay
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.schema import Fault, Finding
from tests.experiments.by_hand import NEW, OLD, item, made

ITEMS = [item(f"c{at}", "abuse") for at in range(100)] + [item(f"n{at}") for at in range(100)]
RIGHT = ["c"] * 100 + ["n"] * 100
BOUNDS = {"incumbent": "old", "sensitivity_margin": 0.06, "specificity_margin": 0.06}
WHEN = "2026-11-21"
BUNDLED = assets.root() / "prompts"


def copied(folder: Path, name: str = "screen/terse-v2", becomes: str = "screen/mine-v1", more: str = "") -> Path:
    """A prompt of one's own, made from one of ours; its path."""
    path = folder / f"{becomes}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (BUNDLED / f"{name}.md").read_text().replace(f"id: {name}", f"id: {becomes}")
    path.write_text(text.replace("\n=== message ===\n", f"{more}\n=== message ===\n"))
    shutil.copy(BUNDLED / f"{name}.examples.yaml", path.with_suffix(".examples.yaml"))
    return path


def new_prompt(folder: Path) -> Path:
    """A folder of prompts with a new one, not yet released."""
    copied(folder, "screen/terse-v2", "screen/new-v1", more="Look twice.")
    return folder


def tried(prompts: Path, answers: Mapping[str, Sequence[str]] | None = None, **more: Any) -> Experiment:
    """An experiment in which the new prompt stood against `screen/terse-v2`."""
    one = made({OLD: RIGHT, **(answers or {NEW: RIGHT})}, ITEMS, acceptance=BOUNDS, **more)
    old, new = load_prompt("screen/terse-v2").ref, load_prompt(str(prompts / "screen/new-v1.md")).ref
    variants = tuple(
        v.model_copy(update={"screen": old if v.prompt == "old" else new, "categorise": None})
        for v in one.state.variants
    )
    choices = (
        PromptChoice(label="old", screen="screen/terse-v2"),
        PromptChoice(label="new", screen=str(prompts / "screen/new-v1.md")),
        PromptChoice(label="newer", screen=str(prompts / "screen/new-v1.md")),
    )
    plan = one.state.plan.model_copy(update={"prompts": choices})
    return change(answered(one), variants=variants, plan=plan)


def answered(one: Experiment) -> Experiment:
    """The same, where no fault is one of the service: every answer is there, however it is."""
    return saying(one, lambda cell: {"fault": Fault.SCHEMA} if cell.assessment.fault is Fault.TIMEOUT else {})


def saying(one: Experiment, change_to: Callable[[Cell], Mapping[str, Any]]) -> Experiment:
    """The same, where answers have other fields."""
    return replace(
        one,
        cells={
            at: cell.model_copy(update={"assessment": cell.assessment.model_copy(update=change_to(cell))})
            for at, cell in one.cells.items()
        },
    )


def naming(one: Experiment, variant: str, *categories: str, items: Sequence[str]) -> Experiment:
    """The same, where a variant names these categories of some messages, if it takes them for crises."""
    findings = tuple(Finding(category=category) for category in categories)

    def named(cell: Cell) -> Mapping[str, Any]:
        mine = cell.variant == variant and cell.item in items and cell.assessment.outcome == "crisis"
        return {"findings": findings} if mine else {}

    return saying(one, named)


def change(one: Experiment, **update: Any) -> Experiment:
    """The same with another state."""
    return replace(one, state=one.state.model_copy(update=update))


def same(variants: Sequence[Variant]) -> Replay:
    """What a replay finds where nothing was changed."""
    cells = len(ITEMS) * len(variants)
    return Replay(cells=cells, same=cells, differing=(), sha256="0" * 64)


def go(
    one: Experiment, variant: str = NEW, again: Callable[[Sequence[Variant]], Replay] = same, **more: Any
) -> Promotion:
    """Promote a variant."""
    found = one.variant(variant)
    assert found is not None
    return promote(one, found, again, **{"date": WHEN, "beside": Path.cwd(), **more})


def refused(one: Experiment, variant: str = NEW, **more: Any) -> str:
    """Why it is not promoted."""
    with pytest.raises(PromotionError) as caught:
        go(one, variant, **more)
    return " | ".join(caught.value.reasons)
