"""`crisis-filter experiment promote`: release a prompt that kept the bounds declared for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from crisis_filter.cli.options import AsJson
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
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            show_default=False,
            help="The experiment's YAML; needed where it names a prompt by a path, which is taken from its folder.",
        ),
    ] = None,
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
    as_json: AsJson = False,
) -> None:
    """Release the prompt of a variant that kept every declared bound, and write its measured effect into the changelog.

    A released prompt never changes; the same command again does nothing.

    Exit status: 0 released, or it was already; 2 the input is wrong; 4 refused, with reasons; 5 configuration.
    """
    with told():
        from crisis_filter.experiments.folder import read_experiment
        from crisis_filter.experiments.promoting import PromotionError, promote
        from crisis_filter.experiments.references import named_variant, parted

        path, name = parted(candidate)
        experiment = read_experiment(path)
        variant = named_variant(experiment, name, path)
        if file is not None and not file.is_file():
            raise InputError(f"{file}: there is no such file")
        try:
            done = promote(
                experiment,
                variant,
                date=_day(day),
                what=what,
                beside=file.resolve().parent if file is not None else None,
                changelog=changelog,
                allow_development=allow_development,
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
