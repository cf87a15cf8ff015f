"""What a comparison names: `FOLDER`, `FOLDER#VARIANT`, or a file of answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from crisis_filter.datasets.records import Split
from crisis_filter.errors import InputError
from crisis_filter.evaluation.gold import Gold
from crisis_filter.evaluation.runs import read_run
from crisis_filter.experiments.comparing import is_incumbent
from crisis_filter.experiments.folder import read_experiment
from crisis_filter.experiments.records import Experiment, Variant
from crisis_filter.experiments.systems import System, of_run, of_variant, on_items

__all__ = ["named_variant", "parted", "read_systems"]


def read_systems(
    references: Sequence[str],
    known: Sequence[str],
    taxonomy: str,
    *,
    gold: Gold | None = None,
    split: Split | None = None,
) -> tuple[System, ...]:
    """The systems that references name.

    Args:
        references: the incumbent first. A folder by itself stands for its only variant; as the only reference it stands for all of them, the
            declared incumbent first.
        known: ids of categories, for files of answers.
        taxonomy: its id, for files of answers.
        gold: labels of files of answers; without them those of the first folder hold.
        split: what the labels are for.

    Raises:
        InputError: no such folder, file or variant; a folder with several variants of which none is named; a file of answers without labels; fewer
            than two systems; one named twice.
    """
    folders: dict[Path, Experiment] = {}
    found: list[System | tuple[str | None, Path]] = []
    for reference in references:
        path, variant = parted(reference)
        if path.is_dir():
            experiment = folders.setdefault(path.resolve(), read_experiment(path))
            found += _variants(experiment, path, variant, alone=len(references) == 1)
        else:
            name, file = _named(reference)
            if not file.exists():
                raise InputError(f"{reference}: there is no such folder of an experiment and no such file")
            found.append((name, file))
    asked = next((one.asked for one in found if isinstance(one, System)), None)
    systems: list[System] = []
    for one in found:
        if isinstance(one, System):
            systems.append(one)
            continue
        name, file = one
        run = read_run(file, known, taxonomy, name=name)
        if gold is not None:
            systems.append(of_run(run, gold, split))
        elif asked is not None:
            systems.append(on_items(run, asked))
        else:
            raise InputError(f"{file}: a file of answers needs labels; name them with --gold")
    if len(systems) < 2:
        raise InputError("there is one system only; name the incumbent first, then what is to be held against it")
    return tuple(_told_apart(systems))


def named_variant(experiment: Experiment, name: str | None, where: Path) -> Variant:
    """The variant of that id or label; without a name the only one.

    Raises:
        InputError: none or several fit; names all.
    """
    there = experiment.state.variants
    variant = experiment.variant(name) if name is not None else there[0] if len(there) == 1 else None
    if variant is None:
        ids = ", ".join(repr(one.id) for one in there)
        what = "has several variants" if name is None else f"has no variant {name!r}, or several that fit"
        raise InputError(f"{where}: {what}; name one after '#', such as {where}#{there[0].id!r}. There are: {ids}")
    return variant


def parted(reference: str) -> tuple[Path, str | None]:
    """Folder and variant of `FOLDER#VARIANT`; a folder that is there is one, whatever signs its name has."""
    whole = Path(reference)
    if whole.exists() or "#" not in reference:
        return whole, None
    # A variant may have the sign in its name; a folder hardly has.
    folder, _, variant = reference.partition("#")
    return Path(folder), variant


def _named(reference: str) -> tuple[str | None, Path]:
    """A name and a path, from NAME=FILE or FILE."""
    name, mark, path = reference.partition("=")
    return (name, Path(path)) if mark and name and not Path(reference).exists() else (None, Path(reference))


def _variants(experiment: Experiment, path: Path, name: str | None, *, alone: bool) -> Iterator[System]:
    if name is not None or not alone:
        yield of_variant(experiment, named_variant(experiment, name, path))
        return
    systems = [of_variant(experiment, variant) for variant in experiment.state.variants]
    acceptance = experiment.state.acceptance
    first = [one for one in systems if acceptance is not None and is_incumbent(one, acceptance)]
    yield from (*first, *(one for one in systems if one not in first))


def _told_apart(systems: Sequence[System]) -> Iterator[System]:
    """The systems with names that differ, as far as they are not the same one."""
    names = [system.name for system in systems]
    for system in systems:
        twice = names.count(system.name) > 1
        yield replace(system, name=f"{system.source}#{system.name}") if twice else system
