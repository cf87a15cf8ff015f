"""`crisis-filter experiment promote`: release a prompt that kept the bounds declared for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from crisis_filter.cli.experiment_compare import looks_so_far
from crisis_filter.cli.options import AsJson
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, say, told
from crisis_filter.errors import InputError

__all__ = ["experiment_promote"]

_LINE, _OUTPUT = "Changelog", "Output"


def experiment_promote(
    candidate: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER#VARIANT", show_default=False, help="Folder of an experiment, and which of its variants."
        ),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="The experiment's YAML, beside which prompts and messages are found: both variants are judged again first.",
        ),
    ],
    what: Annotated[
        str,
        typer.Option(
            help="What the prompt is or changes (default: the experiment's description).", rich_help_panel=_LINE
        ),
    ] = "",
    changelog: Annotated[
        Path | None,
        typer.Option(
            help="File with the table of releases (default: README.md of the prompts' folder).", rich_help_panel=_LINE
        ),
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Of the release (default: today, UTC).", rich_help_panel=_LINE
        ),
    ] = None,
    allow_development: Annotated[
        bool,
        typer.Option("--allow-development", help="Release on development messages; the line says so."),
    ] = False,
    unreleased_incumbent: Annotated[
        bool,
        typer.Option(
            "--unreleased-incumbent", help="Take an incumbent whose prompts are not released; the line says so."
        ),
    ] = False,
    looks: Annotated[
        Path | None,
        typer.Option(
            help="Ledger of looks, told of in the changelog (default: the one beside the data).", rich_help_panel=_LINE
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Release the prompt of a variant that kept every declared bound, and write its measured effect into the changelog.

    The answers of both variants are made again from the recorded replies first; no model is called. A released prompt never changes; the same command again does nothing.

    Exit status: 0 released, or it was already; 2 the input is wrong; 4 refused, with reasons; 5 configuration.
    """
    with told():
        from crisis_filter.experiments.folder import read_experiment
        from crisis_filter.experiments.promoting import PromotionError, promote
        from crisis_filter.experiments.references import named_variant, parted
        from crisis_filter.experiments.remaking import remade

        path, name = parted(candidate)
        experiment = read_experiment(path)
        variant = named_variant(experiment, name, path)
        if not file.is_file():
            raise InputError(f"{file}: there is no such file")
        beside = file.resolve().parent
        stopper = Stopper()
        try:
            with stopper.watching():
                done = promote(
                    experiment,
                    variant,
                    lambda variants: stopper.run(remade(path, experiment, file, variants)),
                    date=_day(day),
                    beside=beside,
                    what=what,
                    changelog=changelog,
                    looks=looks_so_far(looks, experiment.state, [beside]),
                    allow_development=allow_development,
                    unreleased_incumbent=unreleased_incumbent,
                )
        except PromotionError as error:
            say(f"{variant.id} is not promoted")
            for reason in error.reasons:
                say(f"- {reason}")
            raise typer.Exit(NOT_PASSED) from None
        with putting_out():
            if as_json:
                typer.echo(done.model_dump_json())
                return
            names = ", ".join(ref.id for ref in done.prompts)
            if done.already:
                typer.echo(f"{names}: released already with this hash; nothing was done")
                return
            typer.echo(f"{names}: released. {done.effect}")
        for changed in done.changelogs:
            say(f"written: {changed}")


def _day(given: str | None) -> str:
    """The date of the line.

    Raises:
        InputError: it is none.
    """
    if given is None:
        return datetime.now(UTC).date().isoformat()
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError:
        raise InputError("--date is a day such as 2026-11-21") from None
