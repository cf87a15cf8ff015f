"""Experiments of a few messages, each answer written out: `c` crisis, `n` not crisis, `u` undetermined; a dot was not asked yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crisis_filter.experiments.plan import Price
from crisis_filter.experiments.records import Cell, Experiment, Item
from crisis_filter.experiments.states import state_sha256
from crisis_filter.experiments.systems import System, of_variant
from crisis_filter.schema import Outcome
from tests.experiments.making_experiments import Judge, assessment, experiment

OUTCOMES: dict[str, Outcome] = {"c": "crisis", "n": "no_crisis", "u": "undetermined"}
OLD, NEW = "old @ model", "new @ model"


def item(name: str, *categories: str, cluster: str | None = None) -> Item:
    """A message; one with categories is a crisis, and so is one whose name begins with `c`."""
    crisis = bool(categories) or name.startswith("c")
    return Item(id=name, crisis=crisis, categories=categories, cluster=cluster, text_sha256=name.rjust(64, "0"))


def made(
    answers: Mapping[str, Sequence[str]],
    items: Sequence[Item],
    *,
    split: str = "validation",
    acceptance: dict[str, Any] | None = None,
    price: Price | None = None,
) -> Experiment:
    """An experiment.

    Args:
        answers: by variant (`PROMPT @ PROVIDER`); one word for each message, one letter for each repeat.
        items: the messages.
        split: of them.
        acceptance: declared bounds.
        price: of every variant.
    """
    judges = [Judge(*name.split(" @ ")) for name in answers]
    repeats = len(next(iter(answers.values()))[0])
    found = experiment(1, 1, judges, repeats=repeats, split=split, acceptance=acceptance)
    variants = tuple(
        variant.model_copy(update={"id": name, "price": price})
        for variant, name in zip(found.state.variants, answers, strict=True)
    )
    rng = np.random.default_rng(0)
    cells = {
        (variant.id, one.id, repeat): Cell(
            variant=variant.id,
            item=one.id,
            repeat=repeat,
            assessment=assessment(one, OUTCOMES[letter], variant, rng),
        )
        for variant in variants
        for one, word in zip(items, answers[variant.id], strict=True)
        for repeat, letter in enumerate(word, start=1)
        if letter != "."
    }
    state = found.state.model_copy(update={"variants": variants, "items": tuple(items)})
    spent = {name: found.spent[old.id] for name, old in zip(answers, found.state.variants, strict=True)}
    return replace(found, state=state, cells=cells, spent=spent)


def systems(one: Experiment) -> list[System]:
    """Every variant."""
    return [of_variant(one, variant) for variant in one.state.variants]


def put(folder: Path, one: Experiment) -> Path:
    """The experiment as a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = one.state.model_copy(update={"sha256": state_sha256(one.state)})
    (folder / "experiment.json").write_text(state.model_dump_json())
    (folder / "cells.jsonl").write_text("".join(f"{cell.model_dump_json()}\n" for cell in one.cells.values()))
    return folder
