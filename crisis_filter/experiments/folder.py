"""The folder of an experiment: what it was begun with, every call, every finished cell; nobody else's while one is at work in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from crisis_filter import assets
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.calls import Call, Calls, spent_by_variant
from crisis_filter.experiments.items import Data
from crisis_filter.experiments.lines import Lines, held, write_whole
from crisis_filter.experiments.plan import Plan
from crisis_filter.experiments.records import Cell, Experiment, Spent, State, Variant
from crisis_filter.experiments.variants import Columns

__all__ = [
    "ASSESSMENTS",
    "CALLS",
    "RESULTS",
    "Folder",
    "default_folder",
    "experiment_of",
    "read_experiment",
    "same_experiment",
    "state_of",
    "written",
]

_STATE, _LOCK, _CELLS = "experiment.json", ".lock", "cells.jsonl"
CALLS = "calls.jsonl"
"""Everything that was asked and what came back: model answers, which quote the messages."""
RESULTS = "results.jsonl"
"""Every cell in the order of the plan; the same bytes whenever it is replayed."""
ASSESSMENTS = "assessments"
"""Folder with a file for each variant and repeat that `crisis-filter evaluate` reads."""


def state_of(plan: Plan, columns: Columns, data: Data) -> State:
    """What a folder is begun with."""
    variants = tuple(column.variant for column in columns.columns)
    hashed = {
        "variants": [[v.id, v.fingerprint] for v in variants],
        "data": data.sha256,
        "items": [item.model_dump(mode="json") for item in data.items],
        "repeats": plan.options.repeat,
        "acceptance": plan.acceptance.model_dump(mode="json") if plan.acceptance else None,
    }
    return State(
        sha256=assets.sha256(json.dumps(hashed, sort_keys=True).encode()),
        plan=plan,
        variants=variants,
        prompts=columns.prompts,
        data=data.name,
        data_sha256=data.sha256,
        labelled_by=data.labelled_by,
        items=data.items,
        repeats=plan.options.repeat,
        version=assets.package_version(),
    )


def default_folder(root: Path, file: Path, state: State) -> Path:
    """Where an experiment lies by default: another one, even of the same file, lies elsewhere, and the same one is found again."""
    return root / f"{file.stem}-{state.sha256[:8]}"


class Folder:
    """An open folder. Use `begin`.

    Attributes:
        state: what it was begun with.
        calls: everything asked.
        cells: every finished cell; a later line of a cell takes the place of an earlier one.
    """

    def __init__(self, path: Path, state: State, lock: int, earlier: tuple[Path, ...]) -> None:
        self.path = path
        self.state = state
        self._lock = lock
        self.calls = Calls(path / CALLS, earlier=earlier)
        self.cells = Lines(path / _CELLS, Cell)

    @classmethod
    def begin(cls, path: Path, state: State) -> Self:
        """Open a folder for a run, and make it when there is none.

        Replies that lie in the folders beside it are taken for the same questions.

        Raises:
            ConfigurationError: the folder is of another experiment, another process is at work in it, or it cannot be written.
            InputError: a file of it is damaged.
        """
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
        lock = held(path / _LOCK)
        try:
            beside = tuple(sorted(p for p in path.parent.glob(f"*/{CALLS}") if p.parent != path))
            return cls(path, _settle(path, state), lock, beside)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let others at the folder. Calling it twice does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        """The folder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def experiment(self) -> Experiment:
        """The experiment as far as it got."""
        return experiment_of(self.path, self.state, self.cells.records, self.calls.records)

    def put_results(self) -> None:
        """Write the results and the assessments that `evaluate` reads, whole or not at all.

        Raises:
            ConfigurationError: they cannot be written.
        """
        found = self.experiment
        write_whole(self.path / RESULTS, written(found))
        there = self.path / ASSESSMENTS
        there.mkdir(exist_ok=True, mode=0o700)
        for number, variant in enumerate(self.state.variants, start=1):
            for repeat in range(1, self.state.repeats + 1):
                cells = [found.cells.get((variant.id, item.id, repeat)) for item in self.state.items]
                lines = "".join(f"{cell.assessment.model_dump_json()}\n" for cell in cells if cell is not None)
                write_whole(there / f"{number:02}-{slug(variant)}-{repeat}.jsonl", lines)


def read_experiment(path: Path) -> Experiment:
    """An experiment, finished or not, without touching it.

    Raises:
        InputError: there is none in this folder, or a file of it is damaged.
        ConfigurationError: it cannot be read.
    """
    if not (path / _STATE).is_file():
        raise InputError(f"{path}: is no folder of an experiment: it has no {_STATE}")
    state = _read_state(path)
    cells, calls = Lines(path / _CELLS, Cell, mend=False), Lines(path / CALLS, Call, mend=False)
    return experiment_of(path, state, cells.records, calls.records)


def experiment_of(path: Path, state: State, cells: Iterable[Cell], calls: Iterable[Call]) -> Experiment:
    """An experiment from its lines.

    Raises:
        InputError: a cell is of no variant, item or repeat of the experiment.
    """
    found = {(cell.variant, cell.item, cell.repeat): cell for cell in cells}
    variants, items = {v.id: v for v in state.variants}, {item.id for item in state.items}
    if any(v not in variants or i not in items or r > state.repeats for v, i, r in found):
        raise InputError(f"{path}: holds answers that are not of this experiment; restore {_CELLS}")
    used = spent_by_variant(list(calls))
    return Experiment(
        name=path.name,
        state=state,
        cells=found,
        spent={name: _spent(variant, used.get(name, (0, 0, 0))) for name, variant in variants.items()},
    )


def written(experiment: Experiment) -> str:
    """The results: every cell that is there in the order of variants, items and repeats, a line of JSON each."""
    state = experiment.state
    places = (
        (variant.id, item.id, repeat)
        for variant in state.variants
        for item in state.items
        for repeat in range(1, state.repeats + 1)
    )
    return "".join(f"{experiment.cells[at].model_dump_json()}\n" for at in places if at in experiment.cells)


def slug(variant: Variant) -> str:
    """A name for files: letters, digits, dots and dashes of the variant's id."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "-" for c in variant.id)
    return "-".join(part for part in kept.split("-") if part)[:60] or "variant"


def _spent(variant: Variant, used: tuple[int, int, int]) -> Spent:
    requests, prompt, completion = used
    price = variant.price
    money = price.of(prompt, completion) if price is not None else 0.0 if requests == 0 else None
    return Spent(requests=requests, prompt_tokens=prompt, completion_tokens=completion, money=money)


def _read_state(path: Path) -> State:
    try:
        return State.model_validate_json((path / _STATE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        raise InputError(
            f"{path / _STATE}: is not the state of an experiment; restore it, or name a new folder"
        ) from None


def _settle(path: Path, wanted: State) -> State:
    """The state of the folder, once it is known to be of the same experiment."""
    if not (path / _STATE).exists():
        if any(path.glob("*.jsonl")):
            raise ConfigurationError(f"{path}: holds files and no {_STATE}; name an empty or a new folder")
        write_whole(path / _STATE, wanted.model_dump_json(indent=1) + "\n")
        return wanted
    found = _read_state(path)
    same_experiment(path, found, wanted)
    # What may change without being another experiment: pace, budget, prices and words.
    return found.model_copy(update={"plan": wanted.plan, "variants": wanted.variants})


def same_experiment(path: Path, found: State, wanted: State) -> None:
    """Refuse what is another experiment than that of a folder.

    Raises:
        ConfigurationError: says what differs first, with both hashes where there are two.
    """
    if found.sha256 == wanted.sha256 and found.version != wanted.version:
        raise ConfigurationError(
            f"{path}: was begun with version {found.version}, this is {wanted.version}; name a new folder beside it, and its replies are taken over"
        )
    if found.sha256 != wanted.sha256:
        raise ConfigurationError(
            f"{path}: was begun as another experiment: {_difference(found, wanted)}. Name a new folder beside it"
        )


def _difference(found: State, wanted: State) -> str:
    """What differs first, with both hashes where there are two."""
    texts = {text.id: text.sha256 for text in found.prompts}
    for text in wanted.prompts:
        if texts.get(text.id, text.sha256) != text.sha256:
            return f"prompt {text.id} had the hash {texts[text.id]} and has {text.sha256} now"
    if found.data_sha256 != wanted.data_sha256:
        return f"the data had the hash {', '.join(found.data_sha256)} and has {', '.join(wanted.data_sha256)} now"
    if found.plan.acceptance != wanted.plan.acceptance:
        return "other acceptance bounds were declared before it began"
    before, after = ({v.id: v.fingerprint for v in state.variants} for state in (found, wanted))
    if before.keys() != after.keys():
        return "it had other variants"
    changed = [name for name, fingerprint in after.items() if before[name] != fingerprint]
    if changed:
        return f"variant {changed[0]} had the hash {before[changed[0]]} and has {after[changed[0]]} now"
    return f"it had the hash {found.sha256} and has {wanted.sha256} now"
