"""What the words of a comparison mean, a plain line each."""

from __future__ import annotations

from crisis_filter.evaluation.report.glossary import WORDS as OF_THE_REPORT
from crisis_filter.evaluation.report.parts import Sheet

_SHARED = (
    "crisis, not crisis",
    "undetermined",
    "sensitivity",
    "specificity",
    "F1",
    "interval",
    "McNemar's test",
    "p",
)
_OURS = (
    ("incumbent, candidate", "The prompt or system in use, and one that may take its place."),
    ("answer, repeat", "The same message may be asked about several times; each time gives an answer."),
    (
        "difference",
        "The candidate's rate less the incumbent's on the same messages: above 0 the candidate is better.",
    ),
    (
        "margin",
        "The loss that would still be borne. A candidate keeps it where the interval of the difference rules out a larger loss.",
    ),
    (
        "bound, gate",
        "What a candidate must keep to be taken; declared before it was tried, so that the figures could not choose it.",
    ),
    ("chance that two answers differ", "How often two answers about one message have different outcomes."),
    ("Holm's adjustment", "Makes p larger where several candidates are tried, since one of many looks good by chance."),
    (
        "evidence of an early look",
        "A number that stays small, however often one looks, if the systems do not differ: at 20 it is valid to stop.",
    ),
    ("exploration", "Trying things out on messages that are there for it. Nothing found that way is a claim yet."),
    ("cluster", "Messages that are alike for a common reason, such as one author."),
)


def glossary() -> Sheet:
    """A plain line for each word that is not plain."""
    shared = dict(OF_THE_REPORT)
    words = (*((word, shared[word]) for word in _SHARED), *_OURS)
    return Sheet("In plain words", ("word", "meaning"), tuple(words), names=2)
