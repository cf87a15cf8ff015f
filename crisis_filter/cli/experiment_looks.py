"""`crisis-filter experiment looks`: who looked at locked splits, when and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import putting_out, told
from crisis_filter.errors import InputError

__all__ = ["experiment_looks"]


def experiment_looks(
    ledger: Annotated[
        Path, typer.Argument(metavar="LEDGER", show_default=False, help="A looks.jsonl, or the folder it lies in.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show the ledger of looks at locked splits, its chain checked.

    Exit status: 0 done; 2 there is none, or a look was changed or taken out.
    """
    with told():
        from crisis_filter.experiments.looks import LOOKS, Looks

        path = ledger / LOOKS if ledger.is_dir() else ledger
        if not path.is_file():
            raise InputError(f"{path}: there is no ledger of looks; the first look at a locked split makes it")
        found = Looks(path).records
        with putting_out():
            if as_json:
                for look in found:
                    typer.echo(look.model_dump_json())
                return
            table = Table("when", "messages", "variants", "experiment", "reason", title=None)
            for look in found:
                table.add_row(
                    *(
                        plain(word)
                        for word in (
                            look.at,
                            f"{look.data} ({look.items:,})",
                            ", ".join(look.variants),
                            look.experiment[:8],
                            look.reason,
                        )
                    )
                )
            stdout_console().print(table)
