"""`crisis-filter evaluate`: stored assessments against reference labels, and the tables of the published study."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crisis_filter.evaluation.gold import Gold
    from crisis_filter.evaluation.records import Evaluation
    from crisis_filter.evaluation.runs import Cut

_INPUT, _FIGURES, _OUTPUT = "Input", "Figures", "Output"
_ENDINGS = (".html", ".md", ".json")


def evaluate(
    gold: Annotated[
        Path | None,
        typer.Argument(
            metavar="GOLD",
            show_default=False,
            help="Reference labels: a data set's folder, or a file with id, crisis and categories.",
        ),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            show_default=False,
            help="What each system said: assessments as classify wrote them, or id with crisis or severity. NAME=FILE names it.",
        ),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Print the published study's tables from its counts, and nothing else.")
    ] = False,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Of a data set's folder, which split; may be repeated.", rich_help_panel=_INPUT),
    ] = None,
    common: Annotated[
        bool,
        typer.Option(
            "--common", help="Keep to messages that are labelled and that all systems judged.", rich_help_panel=_INPUT
        ),
    ] = False,
    taxonomy: Annotated[
        str, typer.Option(help="Name or path of the taxonomy that labels and answers use.", rich_help_panel=_INPUT)
    ] = "clinical-v1",
    crisis_from: Annotated[
        str | None,
        typer.Option(help="Of systems that only say how severe: the least that is a crisis.", rich_help_panel=_INPUT),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="Their severities, least first, parted by commas.", rich_help_panel=_INPUT)
    ] = None,
    label_field: Annotated[
        list[str] | None,
        typer.Option(
            help="A field that the labels call otherwise, as OURS=THEIRS: crisis=flag, id=msg_id. May be repeated.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    run_field: Annotated[
        list[str] | None,
        typer.Option(help="The same for the runs; may be repeated.", rich_help_panel=_INPUT),
    ] = None,
    labelled_by: Annotated[
        str | None,
        typer.Option(help="Who gave the labels of a file; every figure repeats it.", rich_help_panel=_INPUT),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Field of the labels whose equal values belong together, such as author; resamples then draw whole clusters "
            "(default: conversation, if there).",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    facet: Annotated[
        list[str] | None,
        typer.Option(
            help="One more field of the labels to make subgroups of; may be repeated.", rich_help_panel=_INPUT
        ),
    ] = None,
    failures: Annotated[
        Literal["wrong", "flagged"],
        typer.Option(
            help="How undetermined counts: wrong on either side, or as taken for a crisis, since it reaches a person.",
            rich_help_panel=_FIGURES,
        ),
    ] = "wrong",
    level: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.", rich_help_panel=_FIGURES)
    ] = 0.95,
    interval: Annotated[
        Literal["wilson", "clopper_pearson", "jeffreys"],
        typer.Option(help="Of proportions.", rich_help_panel=_FIGURES),
    ] = "wilson",
    adjust: Annotated[
        Literal["holm", "bonferroni"],
        typer.Option(help="How p-values of pairs are adjusted for their number.", rich_help_panel=_FIGURES),
    ] = "holm",
    prevalence: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of crises at which to tell predictive values, such as 0.01; may be repeated.",
            rich_help_panel=_FIGURES,
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=100, max=100_000, help="Bootstrap draws.", rich_help_panel=_FIGURES)
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.", rich_help_panel=_FIGURES)] = 0,
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Write a report ending in .html, .md or .json; may be repeated.", rich_help_panel=_OUTPUT),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace --output files that are there.", rich_help_panel=_OUTPUT)
    ] = False,
    with_text: Annotated[
        bool,
        typer.Option(
            "--with-text",
            help="Put the texts of wrong and undetermined messages into the .html, hidden until clicked. Then it is as private as they are.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what systems said with reference labels: rates with intervals, categories, subgroups, pairs, scores. No model is called.

    A failure (undetermined) stays in every denominator. Two systems or more are compared on the same messages. --output makes the whole report.

    Exit status: 0 done; 2 the input is wrong; 5 configuration; 130 stopped.
    """
    with told():
        if paper:
            _show_paper(alone=gold is None and not output and not with_text, as_json=as_json)
            return
        if gold is None or not runs:
            raise InputError("name the labels and at least one run: crisis-filter evaluate GOLD RUN; or give --paper")
        targets = _targets(
            output or [], [gold, *(Path(_named(run)[1]) for run in runs)], force=force, with_text=with_text
        )
        from crisis_filter.evaluation.evaluate import evaluate as figures
        from crisis_filter.evaluation.gold import read_gold
        from crisis_filter.evaluation.prevalences import PREVALENCES
        from crisis_filter.evaluation.records import Settings
        from crisis_filter.evaluation.runs import read_run
        from crisis_filter.taxonomy.load import load_taxonomy

        for share in prevalence or ():
            if not 0.0 < share < 1.0:
                raise InputError("--prevalence must lie strictly between 0 and 1, such as 0.01 for 1%")
        known = load_taxonomy(taxonomy)
        labels = read_gold(
            gold,
            known.ids,
            splits=split or (),
            facets=facet or (),
            cluster=cluster,
            names=_fields(label_field),
            labelled_by=labelled_by,
        )
        cut, names = _cut(crisis_from, scale), _fields(run_field)
        read = [
            read_run(Path(path), known.ids, known.ref.id, name=name, cut=cut, names=names)
            for name, path in map(_named, runs)
        ]
        if cut is not None and all(run.system.kind != "severity" for run in read):
            say("--crisis-from was not needed: no run has severities only")
        found = figures(
            labels,
            read,
            known.ids,
            Settings(
                level=level, interval=interval, adjustment=adjust, resamples=resamples, seed=seed, failures=failures
            ),
            common=common,
            facets=facet or (),
            prevalences=sorted({*PREVALENCES, *(prevalence or ())}),
        )
        texts = _texts(found, labels) if with_text else None
        for path in targets:
            _write(path, found, texts)
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                from crisis_filter.cli.evaluate_show import show

                show(found, stdout_console())
        for path in targets:
            say(f"written: {path}")


def _show_paper(*, alone: bool, as_json: bool) -> None:
    from crisis_filter.cli.evaluate_paper import show_paper

    if not alone:
        raise InputError("--paper prints published counts and takes nothing but --json; leave one of the two out")
    show_paper(as_json=as_json)


def _named(run: str) -> tuple[str | None, str]:
    """A name and a path, from NAME=FILE or FILE; a file that is there is one, whatever signs its name has."""
    name, mark, path = run.partition("=")
    return (name, path) if mark and name and not Path(run).exists() else (None, run)


def _cut(crisis_from: str | None, scale: str | None) -> Cut | None:
    from crisis_filter.evaluation.runs import Cut

    if crisis_from is None:
        if scale is not None:
            raise InputError("--scale needs --crisis-from: the least severity that is a crisis")
        return None
    words = tuple(word.strip() for word in scale.split(",")) if scale is not None else None
    if words is not None and (crisis_from not in words or len(set(words)) != len(words) or "" in words):
        raise InputError("--scale must name each severity once, that of --crisis-from among them")
    return Cut(crisis_from, words)


def _fields(given: Sequence[str] | None) -> dict[str, str]:
    """Our names for fields, and the file's."""
    found = {}
    for pair in given or ():
        ours, mark, theirs = pair.partition("=")
        if not (ours and mark and theirs):
            raise InputError("a field is named as OURS=THEIRS, such as crisis=flag")
        found[ours] = theirs
    return found


def _targets(paths: Sequence[Path], inputs: Sequence[Path], *, force: bool, with_text: bool) -> list[Path]:
    """The files to write, looked at before the work."""
    if with_text and not any(path.suffix.lower() == ".html" for path in paths):
        raise InputError("--with-text is for a report in HTML: add --output report.html, or leave it out")
    read = {each.resolve() for each in inputs}
    for path in paths:
        if path.suffix.lower() not in _ENDINGS:
            raise InputError(f"{path}: cannot tell what to write; end the name in {', '.join(_ENDINGS)}")
        # A manifest in the folder of the labels is an input as much as the folder.
        if path.resolve() in read or path.resolve().parent in read:
            raise InputError(f"{path}: is an input too, or among them; choose another name for the output")
        try:
            there, folder = path.exists() or path.is_symlink(), path.parent.is_dir()
        except OSError as error:
            raise InputError(f"{path}: is no name for a file: {error.strerror}") from None
        if there and (not force or path.is_dir()):
            raise InputError(f"{path}: is there already; choose another name, or add --force to replace a file")
        if not folder:
            raise InputError(f"{path.parent}: no such folder; make it, or choose another")
    return list(dict.fromkeys(paths))


def _texts(found: Evaluation, labels: Gold) -> dict[str, str]:
    """Texts of the messages that some system was wrong about, by id."""
    wrong: set[str] = set()
    for one in found.systems:
        wrong |= {*one.screening.missed, *one.screening.false_alarms, *one.screening.undetermined}
        wrong |= {at for cell in (one.categorising.matrix if one.categorising else ()) for at in cell.ids}
    texts = {at: text for at in sorted(wrong) if (text := labels.rows[at].text) is not None}
    if wrong and not texts:
        raise InputError("--with-text: the labels have no texts; leave it out, or name labels with a field 'text'")
    return texts


def _write(path: Path, found: Evaluation, texts: dict[str, str] | None) -> None:
    """One report; the file is whole or not there."""
    from crisis_filter.evaluation.report.html import html
    from crisis_filter.evaluation.report.markdown import markdown

    ending = path.suffix.lower()
    if ending == ".html":
        content = html(found, texts=texts)
    else:
        content = markdown(found) if ending == ".md" else found.model_dump_json(indent=1) + "\n"
    beside = None
    try:
        # Readable by its owner alone: ids, and perhaps texts, are in it.
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name[:99]}.", suffix=".part", delete=False
        ) as file:
            beside = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)
