"""`crisis-filter experiment compare`: systems on the same messages, and whether declared bounds are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, say, told
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crisis_filter.datasets.records import Split
    from crisis_filter.experiments.comparing import Compared
    from crisis_filter.experiments.plan import Acceptance
    from crisis_filter.experiments.records import State
    from crisis_filter.experiments.systems import System

__all__ = ["experiment_compare", "looks_so_far"]

_INPUT, _FIGURES, _OUTPUT = "Input", "Figures", "Output"
_ENDINGS = (".html", ".json")
_UP = 3
"""Folders above an experiment's in which its data are looked for."""


def experiment_compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="INCUMBENT CANDIDATE...",
            show_default=False,
            help="FOLDER of an experiment, FOLDER#VARIANT, or a file of answers; the incumbent first. One FOLDER alone: all its variants.",
        ),
    ],
    gold: Annotated[
        Path | None,
        typer.Option(help="Labels of files of answers (default: those of the experiment).", rich_help_panel=_INPUT),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of a data set's folder, which split.", rich_help_panel=_INPUT)
    ] = None,
    labelled_by: Annotated[
        str | None, typer.Option(help="Who gave the labels of a file.", rich_help_panel=_INPUT)
    ] = None,
    taxonomy: Annotated[str, typer.Option(help="Of files of answers.", rich_help_panel=_INPUT)] = "clinical-v1",
    common: Annotated[
        bool, typer.Option("--common", help="Keep to messages that all systems were to judge.", rich_help_panel=_INPUT)
    ] = False,
    looks: Annotated[
        Path | None,
        typer.Option(
            help="Ledger of looks, to tell how many there were (default: the one beside the data, where it is found).",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    acceptance: Annotated[
        Path | None,
        typer.Option(
            help="YAML with bounds, or an experiment's file (default: those that the experiment declared).",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.0001,
            max=0.9999,
            help="Loss of sensitivity in a category that would be borne.",
            rich_help_panel=_FIGURES,
        ),
    ] = 0.05,
    level: Annotated[
        float,
        typer.Option(
            min=0.5, max=0.999, help="Coverage of the intervals shown; gates keep to 0.95.", rich_help_panel=_FIGURES
        ),
    ] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of draws of clusters.", rich_help_panel=_FIGURES)] = 0,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write JUnit XML: a case for each message and each gate.", rich_help_panel=_OUTPUT),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Write a file ending in .html or .json; may be repeated.", rich_help_panel=_OUTPUT),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare candidates with an incumbent: exact McNemar, repeats, categories, flips by id, an early look, gates. No model is called.

    Undetermined stays in every denominator, as wrong.

    Exit status: 0 done; 2 the input is wrong; 4 a declared bound is not kept; 5 configuration.
    """
    with told():
        targets = _targets([*(output or []), *([junit] if junit else [])], output or [], systems, force=force)
        from crisis_filter.experiments.bounds import read_acceptance
        from crisis_filter.experiments.comparing import compare, declared, refuse_other_incumbent
        from crisis_filter.experiments.comparison import Settings

        read = _read(systems, taxonomy, gold, split, labelled_by)
        bounds = read_acceptance(acceptance) if acceptance is not None else declared(read)
        if acceptance is not None and bounds is not None:
            refuse_other_incumbent(read, bounds)
        found = compare(
            read,
            acceptance=bounds,
            settings=Settings(level=level, margin=margin, resamples=2000, seed=seed),
            looks=_looks(looks, read, systems),
            common=common,
        )
        for path in output or []:
            _write(path, found)
        if junit is not None:
            from crisis_filter.experiments.junit import junit_of_comparison
            from crisis_filter.experiments.lines import write_whole

            write_whole(junit, junit_of_comparison(found))
        with putting_out():
            if as_json:
                typer.echo(found.comparison.model_dump_json())
            else:
                from crisis_filter.cli.experiment_compare_show import show_comparison

                show_comparison(found.comparison, stdout_console())
        for path in targets:
            say(f"written: {path}")
        _judge(found, read, bounds)


def _read(
    references: Sequence[str], taxonomy: str, gold: Path | None, split: str | None, labelled_by: str | None
) -> tuple[System, ...]:
    from crisis_filter.datasets.records import Split
    from crisis_filter.evaluation.gold import read_gold
    from crisis_filter.experiments.references import read_systems
    from crisis_filter.taxonomy.load import load_taxonomy

    known = load_taxonomy(taxonomy)
    if gold is None and (split is not None or labelled_by is not None):
        raise InputError("--split and --labelled-by are about the labels of --gold; an experiment knows its own")
    if split is not None and split not in get_args(Split):
        raise InputError(f"--split: there is no split {split!r}; choose among {', '.join(get_args(Split))}")
    labels = None
    if gold is not None:
        chosen = [split] if split is not None and gold.is_dir() else []
        labels = read_gold(gold, known.ids, splits=chosen, labelled_by=labelled_by)
    return read_systems(references, known.ids, known.ref.id, gold=labels, split=cast("Split | None", split))


def _looks(ledger: Path | None, systems: Sequence[System], references: Sequence[str]) -> int | None:
    """How many experiments have looked at the messages; the data may lie beside where we stand, or where the experiment does."""
    state = systems[0].state
    if state is not None:
        from crisis_filter.experiments.references import parted

        folder = parted(references[0])[0].resolve()
        return looks_so_far(ledger, state, [Path.cwd(), *folder.parents[:_UP]])
    return None if ledger is None else _counted(ledger, systems[0].asked.sha256)


def looks_so_far(ledger: Path | None, state: State, places: Sequence[Path]) -> int | None:
    """How many experiments have looked at the messages of an experiment.

    Args:
        ledger: `None` takes the one beside the data.
        state: of the experiment.
        places: folders that the plan's path to the data may be taken from; the first with a ledger that knows the messages counts.

    Returns:
        The count; `None` where no ledger is named, and none that knows the messages is found.

    Raises:
        InputError: the named ledger is not there, or one was changed.
    """
    if ledger is not None:
        return _counted(ledger, state.data_sha256)
    from crisis_filter.experiments.looks import ledger_beside
    from crisis_filter.experiments.plan import rooted

    found = dict.fromkeys(ledger_beside(Path(rooted(state.plan, place).tests.data)) for place in places)
    return next((count for path in found if path.is_file() and (count := _counted(path, state.data_sha256))), None)


def _counted(ledger: Path, sha256: Sequence[str]) -> int:
    from crisis_filter.experiments.looks import Looks

    if not ledger.is_file():
        raise InputError(f"{ledger}: there is no such ledger of looks")
    return len(Looks(ledger).of(sha256))


def _judge(found: Compared, systems: Sequence[System], bounds: Acceptance | None) -> None:
    """Tell whether bounds are kept, or why those that were declared are not judged.

    Raises:
        typer.Exit: one is not.
    """
    state = systems[0].state
    if bounds is None:
        if state is not None and state.acceptance is not None:
            say(
                f"the declared bounds are not judged: they hold for {state.acceptance.incumbent!r} as the incumbent and candidates of the same "
                "experiment, asked of the same provider"
            )
        return
    failing = [one.name for one in found.comparison.candidates if not one.passed]
    if failing:
        say(f"a declared bound is not kept by {', '.join(failing)}")
        raise typer.Exit(NOT_PASSED)


def _targets(paths: Sequence[Path], outputs: Sequence[Path], references: Sequence[str], *, force: bool) -> list[Path]:
    """The files to write, looked at before the work."""
    read = {Path(each.partition("#")[0]).resolve() for each in references} | {
        Path(each).resolve() for each in references
    }
    for path in outputs:
        if path.suffix.lower() not in _ENDINGS:
            raise InputError(f"{path}: cannot tell what to write; end the name in {' or '.join(_ENDINGS)}")
    for path in paths:
        if path.resolve() in read or path.resolve().parent in read:
            raise InputError(f"{path}: is an input too, or among them; choose another name for the output")
        if path.is_dir() or (not force and path.exists()):
            raise InputError(f"{path}: is there already; choose another name, or add --force to replace a file")
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: no such folder; make it, or choose another")
    if len({path.resolve() for path in paths}) != len(paths):
        raise InputError("two outputs have the same name; give each its own")
    return list(paths)


def _write(path: Path, found: Compared) -> None:
    from crisis_filter.experiments.lines import write_whole

    if path.suffix.lower() == ".json":
        write_whole(path, found.comparison.model_dump_json(indent=1) + "\n")
        return
    from crisis_filter.experiments.page import compare_page

    states = {one.state.sha256: one.state for one in found.grid.systems if one.state is not None}
    write_whole(path, compare_page(found.comparison, tuple(states.values())))
