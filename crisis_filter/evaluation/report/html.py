"""The report as one HTML file that needs no network, no program and no colour to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jinja2 import Environment, FunctionLoader, StrictUndefined

from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.about import labels, labels_again
from crisis_filter.evaluation.report.closed import part, policy
from crisis_filter.evaluation.report.curves import roc
from crisis_filter.evaluation.report.forest import by_category, by_flag, by_subgroup
from crisis_filter.evaluation.report.ink import altair
from crisis_filter.evaluation.report.interactive import Texts, explorer, matrices, wrong
from crisis_filter.evaluation.report.outline import TITLE, WITHOUT_LABELS, sections
from crisis_filter.evaluation.report.overall import overall
from crisis_filter.evaluation.report.parts import Figure, Section, Sheet
from crisis_filter.evaluation.report.rare import predictive_values
from crisis_filter.evaluation.report.reliability import reliability
from crisis_filter.evaluation.report.stage_one import headline
from crisis_filter.evaluation.report.summary import NO_PROOF, summary, unanswered
from crisis_filter.evaluation.report.thresholds import PREVALENCE, VOLUME
from crisis_filter.evaluation.report.waffle import ten_thousand
from crisis_filter.evaluation.report.words import clean

_FIGURES = {
    "screening": (overall,),
    "prevalence": (predictive_values, ten_thousand),
    "ranking": (roc,),
    "calibration": (reliability,),
    "categorising": (by_category,),
    "flagging": (by_flag,),
    "subgroups": (by_subgroup,),
}
"""Which figures stand in which section."""
_DRAWN_BY_THE_PAGE = ("matrix", "explorer")


@dataclass(frozen=True, slots=True)
class _Shown:
    """A section with its figures, each with the tables under it."""

    section: Section
    figures: tuple[tuple[Figure, tuple[Sheet, ...]], ...]
    sheets: tuple[Sheet, ...]
    """Tables of no figure."""


def html(evaluation: Evaluation, *, texts: Mapping[str, str] | None = None) -> str:
    """The report as HTML.

    Args:
        evaluation: what to show.
        texts: messages by id, only when the user asked for them: each is hidden until it is opened, and a notice at the top says that
            the file holds people's words. Only messages that some list of the page names are taken up.

    Returns:
        One page with style, script and figures inside; it fetches nothing, and its policy forbids it to.

    Raises:
        ConfigurationError: the `report` extra is not installed.
    """
    altair()
    written = Texts(texts)
    style, script = part("page.css"), part("page.js")
    environment = Environment(
        loader=FunctionLoader(lambda name: part(f"templates/{name}")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = {
        "title": TITLE,
        "set": clean(evaluation.gold.name),
        "labels": labels(evaluation),
        "labels_again": labels_again(evaluation),
        "without_labels": WITHOUT_LABELS,
        "summary": summary(evaluation),
        "no_proof": NO_PROOF,
        "unanswered": tuple(map(unanswered, evaluation.left_out)),
        "headlines": tuple((clean(each.system.name), headline(each)) for each in evaluation.systems),
        "warnings": tuple(map(clean, evaluation.warnings)),
        "shown": tuple(_shown(evaluation)),
        "wrong": wrong(evaluation, written),
        "matrices": matrices(evaluation, written),
        "matrix_sheets": _drawn("matrix", evaluation),
        "explorer": explorer(evaluation),
        "explorer_sheets": _drawn("explorer", evaluation),
        "prevalence": f"{PREVALENCE * 100:g}",
        "volume": VOLUME,
        "texts": written.named(),
        "style": style,
        "script": script,
        "policy": policy(style, script),
    }
    return environment.get_template("page.html.j2").render(context)


def _shown(evaluation: Evaluation) -> Iterator[_Shown]:
    for section in sections(evaluation):
        made = [make(evaluation) for make in _FIGURES.get(section.id, ())]
        figures = [one for one in made if one is not None]
        drawn = {one.id for one in figures}
        under = tuple((one, tuple(s for s in section.sheets if s.figure == one.id)) for one in figures)
        rest = tuple(s for s in section.sheets if s.figure not in drawn and s.figure not in _DRAWN_BY_THE_PAGE)
        yield _Shown(section, under, rest)


def _drawn(figure: str, evaluation: Evaluation) -> tuple[Sheet, ...]:
    return tuple(sheet for section in sections(evaluation) for sheet in section.sheets if sheet.figure == figure)
