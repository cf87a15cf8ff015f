"""New prompts and the experiments in which they stood against a released one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crisis_filter import assets
from crisis_filter.experiments.plan import PromptChoice
from crisis_filter.experiments.records import Experiment
from crisis_filter.prompting.prompt import load_prompt
from tests.experiments.by_hand import NEW, OLD, item, made

ITEMS = [item(f"c{at}", "abuse") for at in range(100)] + [item(f"n{at}") for at in range(100)]
RIGHT = ["c"] * 100 + ["n"] * 100
BOUNDS = {"incumbent": "old", "sensitivity_margin": 0.06, "specificity_margin": 0.06}
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
    return change(one, variants=variants, plan=plan)


def change(one: Experiment, **update: Any) -> Experiment:
    """The same with another state."""
    return replace(one, state=one.state.model_copy(update=update))
