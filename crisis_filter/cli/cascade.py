"""`crisis-filter cascade`: prove a clearing threshold on one's own labels, and see what a cascade saved."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from crisis_filter.evaluation.cascading import CascadeReport, Spent
    from crisis_filter.evaluation.gold import Gold
    from crisis_filter.pipeline.clearing import Labels
    from crisis_filter.stages.clearing import Clearing

cascade = typer.Typer(
    name="cascade",
    cls=Commands,
    no_args_is_help=True,
    help="Let the embedded engine look before a language model: prove how far it may be trusted, and see what that saved.",
)


@cascade.command("validate")
def validate(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            show_default=False,
            help="Your own labelled messages: a file with id, text and crisis, or a data set's folder with --split.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", show_default=False, help="Where to write the clearing threshold (.json).")
    ],
    split: Annotated[str | None, typer.Option(help="Of a data set's folder, which split.")] = None,
    target: Annotated[
        float, typer.Option(min=0.5, max=0.99999, help="Share of crises that the engine must not clear.")
    ] = 0.99,
    delta: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Highest chance that this does not hold.")] = 0.05,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Field that says which messages belong together, such as person; the first crisis of each counts (default: conversation, if there)."
        ),
    ] = None,
    labelled_by: Annotated[
        str | None, typer.Option(help="Who gave the labels of a file; the threshold repeats it.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="Language of the labels; may be repeated (default: en).")
    ] = None,
    most_characters: Annotated[int, typer.Option(min=1, max=8000, help="Longest message that may be cleared.")] = 600,
    engine: Annotated[str | None, typer.Option(help="Name or folder of the engine (default: the bundled one).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose, on your own labelled crises, the score below which a cascade may leave a message to the engine, and say what that promises.

    None comes with the package: what holds for other people's messages need not hold for yours. The threshold names the engine, the labels and
    this version; it is void when one of them changes.

    Exit status: 0 done; 2 the input is wrong; 5 configuration, too few crises among it; 130 stopped.
    """
    with told():
        from crisis_filter.evaluation.gold import read_gold
        from crisis_filter.local.engine import LocalEngine
        from crisis_filter.pipeline.chain import engine_folder
        from crisis_filter.pipeline.clearing import validate as validated
        from crisis_filter.pipeline.description import DEFAULT_ENGINE
        from crisis_filter.taxonomy.load import load_taxonomy

        _refuse_output(output, labels, force=force)
        known = load_taxonomy("clinical-v1").ids
        gold = read_gold(labels, known, splits=(split,) if split else (), cluster=cluster, labelled_by=labelled_by)
        found = asyncio.run(
            validated(
                LocalEngine.load(engine_folder(engine or DEFAULT_ENGINE)),
                _labels(gold, output),
                target=target,
                delta=delta,
                languages=tuple(language or ("en",)),
                most_characters=most_characters,
            )
        )
        text = json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False)
        try:
            half = output.with_name(f"{output.name}.part")
            half.write_text(f"{text}\n", encoding="utf-8")
            half.replace(output)
        except OSError as error:
            raise ConfigurationError(f"{output}: cannot be written ({type(error).__name__})") from None
        with putting_out():
            if as_json:
                typer.echo(json.dumps(found.model_dump(mode="json"), allow_nan=False))
            else:
                _show_clearing(found)
        say(f"wrote {output}")


def _refuse_output(output: Path, labels: Path, *, force: bool) -> None:
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigurationError(f"{output}: is no place for a file; name one in a folder that exists")
    inside = labels.is_dir() and output.resolve().is_relative_to(labels.resolve())
    if inside or (labels.exists() and output.exists() and output.samefile(labels)):
        raise ConfigurationError(f"{output}: belongs to the labels; write the threshold elsewhere")
    if output.exists() and not force:
        raise ConfigurationError(f"{output}: is there already; add --force to replace it")


def _labels(gold: Gold, output: Path) -> Labels:
    from crisis_filter.pipeline.clearing import Labels

    if len(gold.files) != 1:
        raise InputError(f"{gold.name}: a threshold names one file of labels; choose one split")
    rows = list(gold.rows.values())
    if lacking := [row.place for row in rows if row.text is None]:
        raise InputError(f"{lacking[0]}: has no text, as {len(lacking) - 1} more; the engine has to read the messages")
    if gold.cluster_by is None:
        say("nothing says which messages are of one person (--cluster): each is taken for another's")
    seen: set[str | None] = set()
    crises = []
    for row in rows:
        if row.crisis and (row.cluster is None or row.cluster not in seen):
            seen.add(row.cluster)
            crises.append(row.text or "")
    return Labels(
        name=Path(gold.files[0]).name,
        sha256=gold.sha256[0],
        labelled_by=gold.labelled_by,
        crises=tuple(crises),
        others=tuple(row.text or "" for row in rows if not row.crisis),
        path=os.path.relpath(gold.files[0], output.parent),
        copies=sum(row.crisis for row in rows) - len(crises),
    )


def _show_clearing(found: Clearing) -> None:
    console = stdout_console()
    rows = (
        ("clears below", f"{found.threshold:.6g}"),
        ("engine", f"{found.engine}, {found.engine_sha256[:16]}"),
        ("labels", f"{found.labels}, {found.labels_sha256[:16]}; by: {found.labelled_by}"),
        (
            "crises",
            f"{found.n:,}, {found.misses} below (at most {found.k} may be); {found.kept:,} no score could clear",
        ),
        ("not crises", f"{found.others:,}, {found.others_cleared:,} below"),
    )
    for name, value in rows:
        console.print(plain(f"{name:<14}{value}"), soft_wrap=True)
    console.print(plain(found.statement()))


@cascade.command("report")
def report(
    assessments: Annotated[
        list[Path],
        typer.Argument(
            metavar="ASSESSMENTS...", show_default=False, help="What classify --json wrote with a cascade, JSON Lines."
        ),
    ],
    clearing: Annotated[Path | None, typer.Option(help="The clearing threshold, to repeat what it promises.")] = None,
    prompt_price: Annotated[float | None, typer.Option(min=0.0, max=1e9, help="Of a million prompt tokens.")] = None,
    completion_price: Annotated[
        float | None, typer.Option(min=0.0, max=1e9, help="Of a million completion tokens.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a cascade left to the engine, what its random sample found among that, and what it saved.

    Exit status: 0 done; 2 the input is wrong; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.evaluation.cascading import Prices, cascade_report, read_assessments
        from crisis_filter.stages.clearing import Clearing

        if (prompt_price is None) != (completion_price is None):
            raise ConfigurationError("give --prompt-price and --completion-price together")
        prices = Prices(prompt=prompt_price, completion=completion_price or 0.0) if prompt_price is not None else None
        found = cascade_report([a for path in assessments for a in read_assessments(path)], prices)
        promise = None
        if clearing is not None:
            try:
                promise = Clearing.model_validate_json(clearing.read_bytes())
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"{clearing}: no valid clearing threshold ({type(error).__name__})") from None
            if found.clearings != (promise.sha256,):
                raise ConfigurationError(
                    f"{clearing}: is not the one that was in force when these assessments were made"
                )
        with putting_out():
            if as_json:
                typer.echo(json.dumps(found.model_dump(mode="json"), allow_nan=False))
            else:
                _show_report(found, promise)
        doubtful = found.messages_in_doubt
        if doubtful:
            say(
                f"{doubtful} of {found.sampled} sampled messages would not have been cleared by the language model: look at them, they are the engine's misses if it is right"
            )
        for name, several in (("engines", found.engines), ("clearing thresholds", found.clearings)):
            if len(several) > 1:
                say(f"{len(several)} {name} are mixed here; the figures hold for none of them")


def _show_report(found: CascadeReport, promise: Clearing | None) -> None:
    console = stdout_console()
    cleared, sample = found.cleared, found.crises_among_cleared
    lines = [
        f"messages       {found.messages:,}",
        f"cleared        {cleared.count:,} of {cleared.nobs:,}  {cleared.estimate:.3f} ({cleared.low:.3f} to {cleared.high:.3f})",
        f"asked          {found.asked:,}, of them {found.sampled:,} below the threshold, drawn at random",
        f"spent          {_money(found.spent)}",
        f"saved          {_money(found.saved) if found.saved is not None else 'not known: no sampled message that is no crisis'}",
    ]
    if sample is not None:
        said = ", ".join(f"{name} {count}" for name, count in sorted(found.sampled_outcomes.items()))
        lines.append(
            f"sample         {said}; of the cleared at most {sample.high:.4f} would not have been cleared (upper end of a two-sided {100 * sample.level:g}% interval)"
        )
    else:
        lines.append("sample         none: nothing is known here of the crises among the cleared")
    for line in lines:
        console.print(plain(line), soft_wrap=True)
    if promise is not None:
        console.print(plain(promise.statement()))


def _money(spent: Spent) -> str:
    tokens = f"{spent.requests:,.0f} requests, {spent.prompt_tokens:,.0f} + {spent.completion_tokens:,.0f} tokens"
    return tokens if spent.money is None else f"{tokens}, {spent.money:,.4f}"
