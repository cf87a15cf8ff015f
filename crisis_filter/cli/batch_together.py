"""`crisis-filter batch together`: prove on one's own labels that asking about several messages at once misses no more crises."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crisis_filter.cli.batch_options import ScreenPrompt
from crisis_filter.cli.options import (
    AsJson,
    Backend,
    BaseUrl,
    Fallback,
    PolicyName,
    TaxonomyName,
    Timeout,
    described,
)
from crisis_filter.cli.progress import ProgressLine
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from crisis_filter.batch.together_proof import Pairs, TogetherProof
    from crisis_filter.evaluation.gold import Gold
    from crisis_filter.pipeline.clearing import Labels

together = typer.Typer(
    name="together",
    cls=Commands,
    no_args_is_help=True,
    help="Several messages to a request: prove that it misses no more crises.",
)


@together.command("validate")
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
        Path, typer.Option("--output", "-o", show_default=False, help="Where to write the proof (.json).")
    ],
    messages: Annotated[int, typer.Option("--messages", "-k", min=2, max=16, help="Messages to a request.")] = 4,
    split: Annotated[str | None, typer.Option(help="Of a data set's folder, which split.")] = None,
    margin: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of crises that may be lost by it at most.")
    ] = 0.01,
    delta: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Highest chance that more are.")] = 0.05,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Field that says which messages belong together, such as person; the first crisis of each counts (default: conversation, if there)."
        ),
    ] = None,
    labelled_by: Annotated[
        str | None, typer.Option(help="Who gave the labels of a file; the proof repeats it.")
    ] = None,
    backend: Backend = None,
    base_url: BaseUrl = None,
    fallback: Fallback = None,
    policy: PolicyName = None,
    taxonomy: TaxonomyName = None,
    timeout: Timeout = None,
    screen_prompt: ScreenPrompt = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws who is asked about with whom.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests on their way at once.")] = 8,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it is there.")] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Judge your own labelled crises singly, and once more in a request with others, and say how many are lost by that at most.

    A crisis is lost that is held back when asked about singly and cleared when asked about together. With the default margin it takes 299
    different crises of which none is lost. The proof names model, prompts, policy, labels and number of messages; it is void when one of them changes.

    Exit status: 0 done; 2 the input is wrong; 5 configuration, too few crises or too many lost among it; 130 stopped.
    """
    with told():
        from crisis_filter.batch.together_validate import How
        from crisis_filter.batch.together_validate import validate as validated
        from crisis_filter.evaluation.gold import read_gold
        from crisis_filter.taxonomy.load import load_taxonomy

        _refuse_output(output, labels, force=force)
        given: dict[str, Any] = {
            "backend": backend,
            "base_url": base_url,
            "fallbacks": fallback or None,
            "policy": policy,
            "taxonomy": taxonomy,
            "deadline_s": timeout,
            "screen_prompt": screen_prompt,
        }
        judging = described(**given)
        known = load_taxonomy(judging.taxonomy or "clinical-v1").ids
        gold = read_gold(labels, known, splits=(split,) if split else (), cluster=cluster, labelled_by=labelled_by)
        how = How(messages=messages, margin=margin, delta=delta, seed=seed, at_once=concurrency)
        with ProgressLine(shown=not quiet) as bar:

            def tell(done: int, of: int) -> None:
                bar.show(f"{done:,} of {of:,} requests", done=done, fraction=done / of)

            found = asyncio.run(validated(judging, _labels(gold, output), how, tell=tell))
        _write(output, found)
        with putting_out():
            if as_json:
                typer.echo(json.dumps(found.model_dump(mode="json"), allow_nan=False))
            else:
                _show(found)
        say(f"wrote {output}")


def _refuse_output(output: Path, labels: Path, *, force: bool) -> None:
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigurationError(f"{output}: is no place for a file; name one in a folder that exists")
    inside = labels.is_dir() and output.resolve().is_relative_to(labels.resolve())
    if inside or (labels.exists() and output.exists() and output.samefile(labels)):
        raise ConfigurationError(f"{output}: belongs to the labels; write the proof elsewhere")
    if output.exists() and not force:
        raise ConfigurationError(f"{output}: is there already; add --force to replace it")


def _write(output: Path, proof: TogetherProof) -> None:
    text = json.dumps(proof.model_dump(mode="json"), indent=2, ensure_ascii=False)
    try:
        half = output.with_name(f"{output.name}.part")
        half.write_text(f"{text}\n", encoding="utf-8")
        half.replace(output)
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written ({type(error).__name__})") from None


def _labels(gold: Gold, output: Path) -> Labels:
    """The texts; of each person's crises the first."""
    from crisis_filter.pipeline.clearing import Labels

    if len(gold.files) != 1:
        raise InputError(f"{gold.name}: a proof names one file of labels; choose one split")
    rows = list(gold.rows.values())
    if lacking := [row.place for row in rows if row.text is None]:
        raise InputError(f"{lacking[0]}: has no text, as {len(lacking) - 1} more; the model has to read the messages")
    if gold.cluster_by is None:
        say("nothing says which messages are of one person (--cluster): each is taken for another's")
    crises = [row for row in rows if row.crisis]
    first = {row.cluster if row.cluster is not None else (row.id,): row for row in reversed(crises)}
    return Labels(
        name=Path(gold.files[0]).name,
        sha256=gold.sha256[0],
        labelled_by=gold.labelled_by,
        crises=tuple(row.text or "" for row in reversed(first.values())),
        others=tuple(row.text or "" for row in rows if not row.crisis),
        path=os.path.relpath(gold.files[0], output.parent),
        copies=len(crises) - len(first),
    )


def _show(found: TogetherProof) -> None:
    from crisis_filter.stats.paired import mcnemar_exact, paired_difference

    console = stdout_console()

    def pairs(of: Pairs) -> str:
        b, c = of.singly_alone, of.together_alone
        difference = paired_difference(b, c, of.n)
        apart = f"{difference.estimate:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})" if of.n else "not known"
        return (
            f"{of.n:,}; held back both ways {of.both:,}, singly alone {b:,}, together alone {c:,}, neither {of.neither:,}; "
            f"singly less together {apart}, exact McNemar p {mcnemar_exact(b, c):.3g}"
        )

    bound = found.bound
    rows = (
        ("together", f"{bound.messages} messages to a request, {bound.together.id}; singly {bound.single.id}"),
        ("model", f"{bound.backend}; answered: {', '.join(str(name) for name in found.served)}"),
        ("labels", f"{found.labels}, {found.labels_sha256[:16]}; by: {found.labelled_by}"),
        ("crises", f"{pairs(found.crises)}; lost {found.crises.singly_alone}, at most {found.allowed} may be"),
        ("besides", f"{found.singly:,} always go singly, {found.again:,} were asked again, {found.copies:,} copies"),
        ("not crises", pairs(found.others)),
    )
    for name, value in rows:
        console.print(plain(f"{name:<12}{value}"), soft_wrap=True)
    console.print(plain(found.statement()))
