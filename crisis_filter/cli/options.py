"""Options that more than one command has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict, Unpack

import typer

from crisis_filter.cli.trouble import say
from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from crisis_filter.pipeline.description import FilterSpec
    from crisis_filter.pipeline.filter import CrisisFilter

_INPUT, _ENGINE, _OUTPUT = "Input", "Judging", "Output"

AsText = Annotated[
    bool, typer.Option("--text", help="Take arguments for the messages themselves.", rich_help_panel=_INPUT)
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="text, csv, tsv, jsonl, openai-batch, parquet or arrow (default: by the ending; text for the standard input).",
        rich_help_panel=_INPUT,
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(help="Column with the messages (default: text, message, body or content).", rich_help_panel=_INPUT),
]
IdColumn = Annotated[
    str | None,
    typer.Option(help="Column with the ids (default: id, message_id or custom_id).", rich_help_panel=_INPUT),
]
Locale = Annotated[
    str | None,
    typer.Option(help="BCP 47 tag of the writers, such as en-US; chooses resources only.", rich_help_panel=_INPUT),
]
Backend = Annotated[
    str | None,
    typer.Option(
        help="local, openai:MODEL, langchain:PROVIDER:MODEL, scripted:FILE or recorded:FILE; cascade:local,BACKEND for one of the "
        "others with the embedded engine looking first (default: local).",
        rich_help_panel=_ENGINE,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Root of an OpenAI-compatible server, such as http://127.0.0.1:8080/v1.", rich_help_panel=_ENGINE
    ),
]
Fallback = Annotated[
    list[str] | None,
    typer.Option(
        "--fallback",
        help="Who is asked when the backend does not answer; may be repeated. A backend, with settings after it if need be "
        "('openai:MODEL base_url=... api_key_env=NAME'); local, last, for the embedded engine, which may only raise; or none "
        "(default: local behind a language model).",
        rich_help_panel=_ENGINE,
    ),
]
PolicyName = Annotated[
    str | None,
    typer.Option("--policy", help="Name or path of a policy pack (default: default-v3).", rich_help_panel=_ENGINE),
]
TaxonomyName = Annotated[
    str | None,
    typer.Option("--taxonomy", help="Name or path of a taxonomy (default: the policy's).", rich_help_panel=_ENGINE),
]
Timeout = Annotated[
    float | None,
    typer.Option(min=0.001, help="Seconds for one message (default: the policy's).", rich_help_panel=_ENGINE),
]
Clearing = Annotated[
    str | None,
    typer.Option(
        help="Clearing threshold of a cascade, made by cascade validate; without it the engine clears nothing.",
        rich_help_panel=_ENGINE,
    ),
]
Sample = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Share of what a cascade would clear that is asked about all the same (default: 0.02).",
        rich_help_panel=_ENGINE,
    ),
]
Places = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Texts that a language model is asked about at once; in a cascade the likeliest crisis that waits goes next (default: no limit).",
        rich_help_panel=_ENGINE,
    ),
]
Prevalence = Annotated[
    float | None,
    typer.Option(
        min=0.000001,
        max=0.999999,
        help="Share of crises among your messages, such as 0.01, to tell the engine's score at it as well (score_at_prevalence).",
        rich_help_panel=_ENGINE,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="JSON Lines on the standard output, talk on the standard error.", rich_help_panel=_OUTPUT
    ),
]


class Given(TypedDict, total=False):
    """What options say of a filter, by the names of `FilterSpec`'s fields; what is left out or `None` was not given."""

    backend: str | None
    base_url: str | None
    fallbacks: list[str] | None
    policy: str | None
    taxonomy: str | None
    deadline_s: float | None
    clearing: str | None
    sample: float | None
    prevalence: float | None
    places: int | None


def described(**given: Unpack[Given]) -> FilterSpec:
    """The description that these options and the environment make.

    Raises:
        ConfigurationError: they contradict one another, or a value is wrong.
    """
    from crisis_filter.pipeline.description import LOCAL
    from crisis_filter.settings import filter_spec

    # An option that may be repeated and was not given can come as an empty list, which would mean that nobody else is asked.
    spec = filter_spec(**{**given, "fallbacks": given.get("fallbacks") or None})
    if given.get("base_url") is not None and spec.backend == LOCAL:
        raise ConfigurationError("--base-url needs a language model: add --backend openai:MODEL")
    return spec


def opened(**given: Unpack[Given]) -> CrisisFilter:
    """The filter that these options and the environment describe.

    Raises:
        ConfigurationError: what they describe cannot be opened.
    """
    # The pipeline loads what `--help` and `--version` do without.
    from crisis_filter.pipeline.spec import open_filter

    crisis_filter = open_filter(described(**given))
    left_out = crisis_filter.rules_left_out
    if left_out:
        name = crisis_filter.policy.id
        say(f"policy {name} was written for another taxonomy; rules left out: {', '.join(left_out)}")
    return crisis_filter
