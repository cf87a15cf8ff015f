"""`crisis-filter explain`: everything about one message."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.inputs import ReadOptions, message_of, source_of
from crisis_filter.cli.options import (
    AsJson,
    AsText,
    Backend,
    BaseUrl,
    Clearing,
    Fallback,
    FormatName,
    IdColumn,
    Locale,
    Places,
    PolicyName,
    Prevalence,
    Sample,
    TaxonomyName,
    TextColumn,
    Timeout,
    opened,
)
from crisis_filter.cli.portrait import portray
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.tally import Tally
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.errors import InputError
from crisis_filter.schema import Message
from crisis_filter.tables.flat import json_line
from crisis_filter.tables.lines import MAX_LINE_CHARS
from crisis_filter.tables.reading import STDIN, STDIN_CLOSED, read_messages

if TYPE_CHECKING:
    from crisis_filter.pipeline.filter import CrisisFilter
    from crisis_filter.schema import Assessment


def explain(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="The message itself, - for the standard input, or a file with --id.")
    ],
    message_id: Annotated[
        str | None, typer.Option("--id", help="Which message of a file.", rich_help_panel="Input")
    ] = None,
    as_text: AsText = False,
    format_name: FormatName = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    locale: Locale = None,
    backend: Backend = None,
    base_url: BaseUrl = None,
    fallback: Fallback = None,
    policy: PolicyName = None,
    taxonomy: TaxonomyName = None,
    timeout: Timeout = None,
    clearing: Clearing = None,
    sample: Sample = None,
    prevalence: Prevalence = None,
    places: Places = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one message: both stages, evidence, score, fault, where it goes, how it came about."""
    with told():
        options = ReadOptions(format_name, text_column, id_column, locale)
        message = _message(source, message_id, options, text_only=as_text)
        crisis_filter = opened(
            backend=backend,
            base_url=base_url,
            fallbacks=fallback,
            policy=policy,
            taxonomy=taxonomy,
            deadline_s=timeout,
            clearing=clearing,
            sample=sample,
            prevalence=prevalence,
            places=places,
        )
        assessment = asyncio.run(_assess(crisis_filter, message))
        with putting_out():
            if as_json:
                sys.stdout.buffer.write(json_line(assessment))
                sys.stdout.buffer.flush()
            else:
                portray(assessment, message, stdout_console())
        tally = Tally()
        tally.add(assessment)
        cause = tally.shared_cause()
        if cause is not None and as_json:
            say(cause)
        raise typer.Exit(tally.status({}))


async def _assess(crisis_filter: CrisisFilter, message: Message) -> Assessment:
    try:
        return await crisis_filter.assess(message)
    finally:
        await crisis_filter.aclose()


def _message(argument: str, wanted: str | None, options: ReadOptions, *, text_only: bool) -> Message:
    source = source_of(argument, text_only=text_only)
    if source.kind == "text":
        if wanted is not None:
            raise InputError(f"--id {wanted} needs a file to look in; there is none of the name given")
        return message_of(argument, message_id="argument", locale=options.locale)
    if wanted is not None:
        return _found(argument, wanted, options)
    if source.kind == "file":
        raise InputError(f"{argument}: say which message with --id ID (`crisis-filter classify` shows the ids)")
    return _whole(options.locale)


def _found(path: str, wanted: str, options: ReadOptions) -> Message:
    with read_messages(
        path,
        format=options.format,
        text_column=options.text_column,
        id_column=options.id_column,
        locale=options.locale,
    ) as reader:
        found = next((message for message in reader if message.id == wanted), None)
    if found is None:
        name = "the standard input" if path == STDIN else path
        raise InputError(f"{name}: no message has the id {wanted!r} (`crisis-filter classify` shows the ids)")
    return found


def _whole(locale: str | None) -> Message:
    """All of the standard input as one message, without its last line ending."""
    if sys.stdin is None:
        raise InputError(STDIN_CLOSED)
    try:
        raw = sys.stdin.buffer.read(MAX_LINE_CHARS + 1)
    except OSError as error:
        raise InputError(f"standard input: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_LINE_CHARS:
        return Message(id="stdin", text="", locale=locale, unreadable=True)
    text = raw.decode("utf-8-sig", "surrogateescape").removesuffix("\n").removesuffix("\r")
    return message_of(text, message_id="stdin", locale=locale)
