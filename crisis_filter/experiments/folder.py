"""The folder of an experiment: what it was begun with, every call, every finished cell; nobody else's while one is at work in it."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.calls import Call, Calls, Used, spent_by_variant
from crisis_filter.experiments.lines import Lines, held, write_whole
from crisis_filter.experiments.records import Cell, Experiment, Spent, State, Variant
from crisis_filter.experiments.states import STATE, read_state, same_experiment, state_of

__all__ = [
    "ASSESSMENTS",
    "CALLS",
    "RESULTS",
    "Folder",
    "begun",
    "default_folder",
    "experiment_of",
    "read_experiment",
    "same_experiment",
    "state_of",
    "written",
]

_LOCK, _CELLS = ".lock", "cells.jsonl"
CALLS = "calls.jsonl"
"""Everything that was asked and what came back: model answers, which quote the messages."""
RESULTS = "results.jsonl"
"""Every cell in the order of the plan; the same bytes whenever it is replayed."""
ASSESSMENTS = "assessments"
"""Folder with a file for each variant and repeat that `crisis-filter evaluate` reads."""


def begun(path: Path, state: State) -> bool:
    """Whether a folder is of this experiment already.

    Raises:
        InputError: its state is damaged or was changed.
    """
    return (path / STATE).is_file() and read_state(path).sha256 == state.sha256


def default_folder(root: Path, file: Path, state: State) -> Path:
    """Where an experiment lies by default: another one, even of the same file, lies elsewhere, and the same one is found again."""
    return root / f"{file.stem}-{state.sha256[:8]}"


class Folder:
    """An open folder. Use `begin`.

    Attributes:
        state: what it was begun with.
        calls: everything asked.
        cells: every finished cell; a later line of a cell takes the place of an earlier one.
        new: whether the experiment began just now.
    """

    def __init__(self, path: Path, state: State, lock: int, *, new: bool, made: Iterable[Path] = ()) -> None:
        self.path = path
        self.state = state
        self.new = new
        self._lock = lock
        self._made = tuple(made)
        self.calls = Calls(path / CALLS, earlier=_beside(path, state))
        self.cells = Lines(path / _CELLS, Cell)
        if not state.plan.options.reuse and any(call.earlier for call in self.calls.records):
            raise ConfigurationError(
                f"{path}: holds replies that were taken over from another experiment, which evaluateOptions.reuse forbids; name a new folder"
            )

    @classmethod
    def begin(cls, path: Path, state: State) -> Self:
        """Open a folder for a run, and make it when there is none.

        Replies that lie in the folders beside it are taken for the same questions, unless the plan forbids it; see `skipped`.

        Raises:
            ConfigurationError: the folder is of another experiment, another process is at work in it, it cannot be written, or it holds replies
                that were taken over and the plan forbids it.
            InputError: a file of it is damaged, or its state was changed.
        """
        made = _make(path)
        lock = held(path / _LOCK)
        try:
            found = _settle(path, state)
            # What the hash leaves out may change without being another experiment, and the folder says what holds now.
            now = state if found is None else found.model_copy(update={"plan": state.plan})
            folder = cls(path, now, lock, new=found is None, made=made)
            if found != now:
                write_whole(path / STATE, now.model_dump_json(indent=1) + "\n")
        except BaseException:
            os.close(lock)
            raise
        return folder

    @property
    def skipped(self) -> tuple[str, ...]:
        """A line in words for every folder beside it whose replies cannot be taken."""
        return self.calls.skipped

    def discard(self) -> None:
        """Close, and leave nothing of an experiment that began just now and asked nothing; any other is only closed."""
        if self.new and not self.calls.records and not self.cells.records:
            with contextlib.suppress(OSError):
                (self.path / STATE).unlink()
                (self.path / _LOCK).unlink()
                for folder in self._made:
                    folder.rmdir()
        self.close()

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
        InputError: there is none in this folder, its state was changed after it began, or a file of it is damaged.
        ConfigurationError: it cannot be read.
    """
    if not (path / STATE).is_file():
        raise InputError(f"{path}: is no folder of an experiment: it has no {STATE}")
    state = read_state(path)
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
    asked = tuple(calls)
    used = spent_by_variant(asked)
    taken = Counter(at[0] for at in {(c.variant, c.item, c.repeat) for c in asked if c.earlier} if at in found)
    return Experiment(
        name=path.name,
        state=state,
        cells=found,
        spent={name: _spent(variant, used.get(name, Used())) for name, variant in variants.items()},
        taken={name: taken[name] for name in variants},
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


def _spent(variant: Variant, used: Used) -> Spent:
    return Spent(
        requests=used.requests,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        money=_money(variant, used),
        untold=used.untold,
    )


def _money(variant: Variant, used: Used) -> float | None:
    if variant.price is None:
        return 0.0 if used.requests == 0 else None
    if used.untold and not variant.price.free:
        return None
    return variant.price.of(used.prompt_tokens, used.completion_tokens)


def _settle(path: Path, wanted: State) -> State | None:
    """The state of a folder, once it is known to be of the same experiment; `None` for a folder that is new."""
    if not (path / STATE).exists():
        if any(path.glob("*.jsonl")):
            raise ConfigurationError(f"{path}: holds files and no {STATE}; name an empty or a new folder")
        return None
    found = read_state(path)
    same_experiment(path, found, wanted)
    return found


def _make(path: Path) -> list[Path]:
    """Make a folder; those that were not there before, the innermost first."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
    return missing


def _beside(path: Path, state: State) -> tuple[Path, ...]:
    """The calls of the experiments that lie beside one, if their replies may be taken."""
    if not state.plan.options.reuse:
        return ()
    own = path.resolve()
    folders = (one.parent for one in own.parent.glob(f"*/{STATE}") if one.parent != own)
    return tuple(sorted(one / CALLS for one in folders if (one / CALLS).is_file()))
