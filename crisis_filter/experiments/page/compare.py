"""The page of a comparison: what is better, by how much and how sure, and on which messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from crisis_filter.evaluation.report.interactive import Texts
from crisis_filter.evaluation.report.words import clean, counted
from crisis_filter.experiments.comparison import Comparison
from crisis_filter.experiments.page import compared, drawn
from crisis_filter.experiments.page.closed import closed
from crisis_filter.experiments.page.figures import gate_words, rate_words, side_words
from crisis_filter.experiments.page.flipped import flips
from crisis_filter.experiments.page.glossary import glossary
from crisis_filter.experiments.page.prompts import diffs
from crisis_filter.experiments.page.wording import KEY, NO_PROOF
from crisis_filter.experiments.records import State
from crisis_filter.schema import PromptRef


def compare_page(comparison: Comparison, states: Iterable[State] = (), texts: Mapping[str, str] | None = None) -> str:
    """A comparison as one HTML file that needs no network.

    Args:
        comparison: what to show.
        states: of the experiments that the systems come from, for the differences between their prompts; none for files.
        texts: messages by id, only when the user asked for them; only those of messages that the page names are taken up, each hidden until
            it is opened.

    Returns:
        One page with style and script inside; it fetches nothing, and its policy forbids it to.
    """
    written = Texts(texts)
    changed = flips(comparison, written)
    different = diffs(_refs(comparison), [prompt for state in states for prompt in state.prompts])
    named = written.named()
    sections = (
        ("gates", "Declared bounds", compared.gates(comparison)),
        ("systems", "Each system by itself", True),
        ("differences", "Candidates against the incumbent", True),
        ("categories", "By category", compared.categories(comparison)),
        ("flips", "Messages that changed", True),
        ("prompts", "Prompts that changed", different),
        ("repeats", "Repeats", compared.repeats(comparison)),
        ("early", "An early look", True),
        ("costs", "Costs", True),
        ("method", "What was measured, and how", True),
        ("glossary", "Words used here", True),
        ("texts", "Messages", named),
    )
    context: dict[str, object] = {
        "kind": "comparison",
        "title": f"Comparison on {clean(comparison.measured.name)}",
        "results": "systems",
        "about": (_measured(comparison),),
        "gist": tuple(_gist(comparison)),
        "no_proof": NO_PROOF,
        "labels": compared.labelled(comparison),
        "private": texts is not None,
        "warnings": tuple(map(clean, comparison.warnings)),
        "contents": tuple((anchor, name) for anchor, name, there in sections if there),
        "gates": compared.gates(comparison),
        "verdicts": tuple((clean(one.name), gate_words(one)) for one in comparison.candidates),
        "systems": compared.systems(comparison),
        "made": compared.made(comparison),
        "counting": _counting(comparison),
        "differences": compared.differences(comparison),
        "drawn": drawn.contrasts(comparison),
        "exploration": comparison.measured.exploration,
        "categories": compared.categories(comparison),
        "drawn_categories": drawn.by_category(comparison),
        "named": compared.named(comparison),
        "key": KEY,
        "flips": changed,
        "several": comparison.measured.repeats > 1,
        "diffs": different,
        "repeats": compared.repeats(comparison),
        "early": compared.early(comparison),
        "costs": compared.costs(comparison),
        "method": compared.about(comparison),
        "limits": tuple(_limits(comparison)),
        "glossary": glossary(),
        "texts": named,
    }
    return closed("comparison.html.j2", context)


def _refs(comparison: Comparison) -> Sequence[Sequence[PromptRef]]:
    """Prompts of all systems, those of one stage together."""
    stages: dict[str, list[PromptRef]] = {}
    for system in comparison.systems:
        for ref in system.prompts:
            stages.setdefault(ref.id.partition("/")[0], []).append(ref)
    return tuple(stages.values())


def _measured(comparison: Comparison) -> str:
    of = comparison.measured
    repeats = "once" if of.repeats == 1 else f"{of.repeats} times"
    return (
        f"{counted(len(comparison.candidates), 'candidate')} against {clean(comparison.systems[0].name)}, each asked {repeats} about the same "
        f"{counted(of.messages, 'message')} of {clean(of.name)}: {counted(of.crises, 'crisis', 'crises')} and "
        f"{counted(of.messages - of.crises, 'other message')}."
    )


def _gist(comparison: Comparison) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each candidate in some sentences, then the incumbent's own rates."""
    first, *others = comparison.systems
    figures = {one.name: one for one in others}
    for one in comparison.candidates:
        mine = figures[one.name]
        pairs = {
            "sensitivity": (mine.sensitivity, first.sensitivity),
            "specificity": (mine.specificity, first.specificity),
        }
        said = tuple(side_words(side, *pairs[side.side], comparison) for side in one.sides)
        yield clean(one.name), gate_words(one), said
    own = (f"Sensitivity {rate_words(first.sensitivity)}.", f"Specificity {rate_words(first.specificity)}.")
    yield clean(first.name), "The incumbent.", own


def _counting(comparison: Comparison) -> str:
    repeats = ""
    if comparison.measured.repeats > 1:
        repeats = " Counts are answers; rates are means over the repeats, and intervals go by the number of messages."
    return (
        "An undetermined answer counts as wrong on either side, inside the denominator, though it does reach a person; beside each rate stands "
        f"how many there were, and what the rate would be had they been right.{repeats}"
    )


def _limits(comparison: Comparison) -> Iterator[str]:
    yield "Whether the labels are right, or the messages like those of a platform."
    yield "That systems are alike where no difference was found: an interval that reaches far to the left leaves room for a loss."
    yield "How the systems fare where crises are rare; an evaluation computes that from stored answers."
    if comparison.measured.exploration:
        yield "Anything beyond these messages: prompts were tried out on them, and what was chosen by a figure looks better on it than it is."
    else:
        yield "How good the figures would be on messages that nobody has looked at: every look that leads to a change makes them too good."
