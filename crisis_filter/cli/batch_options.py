"""Options that more than one command of `batch` has."""

from __future__ import annotations

from typing import Annotated

import typer

PACE = "Pace and budget"

ScreenPrompt = Annotated[
    str | None,
    typer.Option(
        help="Name or path of the prompt for Stage 1, such as screen/terse-v2 (default: the policy's).",
        rich_help_panel="Judging",
    ),
]
TogetherMost = Annotated[
    int,
    typer.Option(
        "--together",
        min=1,
        max=16,
        help="Plain messages to a Stage 1 request at most; more than one needs --proof.",
        rich_help_panel=PACE,
    ),
]
Proof = Annotated[
    str | None,
    typer.Option(
        help="Proof that this misses no more crises than a margin, made by batch together validate.",
        rich_help_panel=PACE,
    ),
]
