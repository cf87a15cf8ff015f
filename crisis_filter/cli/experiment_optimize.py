"""`crisis-filter experiment optimize`: look for a better Stage 1 prompt on development, with sensitivity as the condition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.progress import ProgressLine
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import UNDETERMINED, putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from crisis_filter.backends.spec import BackendSpec
    from crisis_filter.experiments.optimize.choosing import Candidate
    from crisis_filter.experiments.optimize.records import Result
    from crisis_filter.experiments.optimize.running import Progress
    from crisis_filter.experiments.optimize.work import Work
    from crisis_filter.experiments.plan import Price

_WHAT, _REFLECTION, _OUTPUT = "What", "Who proposes", "Output"
_ROOT = Path("experiments")
_WHY = {
    "max_calls": "no further round fits into --max-calls",
    "nothing_to_learn": "the prompts that are left get every training message right",
    "no_proposals": "ten proposals in a row brought nothing that had not been tried; another --reflection may do better",
    "budget": "the plan's budget is spent: raise it and run the same command again",
    "silence": "a model gave no reply ten times in a row: see to its server, then run the same command again",
}


def experiment_optimize(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="The experiment: a file of YAML, on development.")
    ],
    max_calls: Annotated[
        int,
        typer.Option(
            min=1,
            help="Most answers of the judging model; the same prompt about the same message counts once.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", "-o", help="Where it lies (default: in ./experiments, named after file and content)."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Label of the prompt to begin with, where the file has several.", rich_help_panel=_WHAT),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(help="Label of who judges, where the file has several language models.", rich_help_panel=_WHAT),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(
            metavar="DATA[:SPLIT]",
            help="Messages to learn from (default: the training split of the file's data set).",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    training_limit: Annotated[
        int,
        typer.Option(min=1, help="Learn from so many, half of them crises as far as there are.", rich_help_panel=_WHAT),
    ] = 100,
    minibatch: Annotated[
        int, typer.Option(min=1, max=50, help="Messages that one proposal is made from.", rich_help_panel=_WHAT)
    ] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.", rich_help_panel=_WHAT)] = 0,
    reflection: Annotated[
        str | None,
        typer.Option(
            help="A backend, with settings behind it if need be ('openai:MODEL base_url=... api_key_env=NAME'); it is shown training messages (default: who judges).",
            rich_help_panel=_REFLECTION,
        ),
    ] = None,
    reflection_temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="Of the proposals.", rich_help_panel=_REFLECTION)
    ] = 1.0,
    reflection_tokens: Annotated[
        int, typer.Option(min=100, help="Most of one proposal.", rich_help_panel=_REFLECTION)
    ] = 4000,
    reflection_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one proposal, retries included.", rich_help_panel=_REFLECTION)
    ] = 180.0,
    reflection_price: Annotated[
        str | None,
        typer.Option(
            metavar="INPUT,OUTPUT",
            help="For a million tokens; needed where the file has a budget of money.",
            rich_help_panel=_REFLECTION,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Have a language model rewrite parts of a Stage 1 prompt, and keep what finds as many crises with fewer false alarms.

    It sees training and development only, claims nothing, and changes no released prompt. Start the same command again after a stop of any
    kind and it goes on where it was; a finished search is made again without asking anybody. Needs the extra `optimize`.

    Exit status: 0 done, with a better prompt or without; 2 the input is wrong; 3 not done; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.experiments.optimize.folder import OptimizeFolder, stored_result
        from crisis_filter.experiments.optimize.running import optimize
        from crisis_filter.experiments.optimize.search import require_gepa
        from crisis_filter.experiments.optimize.work import Choices, Reflection, load_work
        from crisis_filter.experiments.plan import load_plan, rooted

        require_gepa()
        choices = Choices(
            prompt=prompt,
            provider=provider,
            training=training,
            training_limit=training_limit,
            reflection=Reflection(
                spec=None if reflection is None else _spec(reflection),
                temperature=reflection_temperature,
                tokens=reflection_tokens,
                timeout_s=reflection_timeout,
                price=None if reflection_price is None else _price(reflection_price),
            ),
            max_calls=max_calls,
            minibatch=minibatch,
            seed=seed,
        )
        plan = rooted(load_plan(file), file.resolve().parent)
        work = load_work(plan, choices, keys=False)
        start = work.start()
        where = folder or _ROOT / f"{file.stem}-optimize-{start.sha256[:8]}"
        replaying = stored_result(where, max_calls) is not None
        if not replaying:
            work = load_work(plan, choices)
            _warn(work)
        stopper = Stopper()
        with (
            stopper.watching(),
            OptimizeFolder.begin(where, start, replaying=replaying, reuse=plan.options.reuse) as opened,
            ProgressLine(shown=not quiet) as bar,
        ):
            for words in opened.calls.skipped:
                say(words)
            result = stopper.run(optimize(work, opened, _telling(bar)))
        with putting_out():
            if as_json:
                typer.echo(result.model_dump_json())
            else:
                _show(result, where, stdout_console())
        say(f"made again from what was written down, nobody was asked: {where}" if replaying else f"in {where}")
        if not result.whole:
            say(
                f"not done: {_WHY[result.ended] if result.ended in ('budget', 'silence') else 'a fault of a service stood in the way: run the same command again'}"
            )
            raise typer.Exit(UNDETERMINED)


def _spec(text: str) -> BackendSpec:
    """Who proposes.

    Raises:
        ConfigurationError: it is no language model, or a setting is wrong.
    """
    from crisis_filter.backends.spec import parse_backend
    from crisis_filter.pipeline.description import LOCAL
    from crisis_filter.settings import key_of, parse_link

    try:
        link = parse_link(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"--reflection: {str(error).removeprefix('fallback: ')}") from None
    if link.backend == LOCAL:
        raise ConfigurationError(
            "--reflection: proposals are written by a language model: name one, such as openai:MODEL"
        )
    settings = link.model_dump(exclude={"backend", "api_key_env"})
    return parse_backend(link.backend, **settings, api_key=key_of(link))


def _price(text: str) -> Price:
    from crisis_filter.experiments.plan import Price

    try:
        given, answered = (float(part) for part in text.split(","))
        return Price(input=given, output=answered)
    except ValueError:
        raise InputError("--reflection-price: needs two prices for a million tokens, such as 2.5,10") from None


def _warn(work: Work) -> None:
    if work.choices.reflection.spec is None:
        say(f"{work.reflection.name} proposes and judges; --reflection names another model for the proposals")
    crises = sum(case.item.crisis for case in work.deciding.cases)
    others = len(work.deciding.cases) - crises
    say(
        f"chosen by {counted(crises, 'crisis', 'crises')} and {counted(others, 'other')} of development; learned from {counted(len(work.learned.cases), 'message')}, "
        f"which {work.reflection.name} is shown"
    )


def _telling(bar: ProgressLine) -> Callable[[Progress], None]:
    def tell(at: Progress) -> None:
        bar.show(
            f"{at.judged:,}/{at.max_calls:,} answers | {counted(at.candidates, 'prompt')} judged | {counted(at.proposals, 'proposal')}, {at.rejected:,} thrown away",
            done=at.judged,
            fraction=min(1.0, at.judged / at.max_calls),
        )

    return tell


def _show(result: Result, where: Path, console: Console) -> None:
    """Counts, never a text; no rate without its undetermined ones."""
    lost = ", ".join(f"{name} {count:,}" for name, count in result.rejected.items()) or "none"
    lines = [
        f"messages    {result.development}; labelled by {result.labelled_by}",
        f"answers     {result.judgements:,} of at most {result.max_calls:,}; lost to faults of a service {result.faults:,}",
        f"proposals   {result.proposals:,}; thrown away untried: {lost}",
        f"ended       {_WHY[result.ended]}",
        *(f"{'seed' if c.number == 0 else f'candidate {c.number}':<12}{_counts(c)}" for c in result.candidates),
        *_verdict(result, where),
    ]
    for line in lines:
        console.print(plain(line), soft_wrap=True)


def _counts(one: Candidate) -> str:
    c = one.counts
    found = f"crises found {c.found:,} of {c.crises:,} (missed {c.missed:,}, undetermined {c.undetermined:,})"
    cleared = (
        f"others cleared {c.cleared:,} of {c.others:,} (alarms {c.alarms:,}, undetermined {c.others_undetermined:,})"
    )
    origin = f"; from {one.parents[0]}: {', '.join(one.changed) or 'nothing'}" if one.parents else ""
    return f"{found}; {cleared}{origin}{'' if one.may_win else '; may not win: loses a crisis'}"


def _verdict(result: Result, where: Path) -> list[str]:
    if result.winner is None:
        return ["no better prompt found: the seed stays"]
    best = where / "best.md"
    lines = [
        f"best        candidate {result.winner}, as {result.id} in {best}; what changed: {where / 'best.diff'}",
        "Development is exploration: this is the best of several on the messages it was chosen by, and proves nothing.",
    ]
    following = where / "next.yaml"
    if following.exists():
        lines.append(
            f"Read the diff, then declare bounds in {following} and look once: crisis-filter experiment run {following} --unlock-validation 'why'"
        )
    else:
        lines.append(
            f"Read the diff, then run it beside the seed on messages no search has seen, with acceptance declared in the file (prompts: the seed's, {best})"
        )
    return lines
