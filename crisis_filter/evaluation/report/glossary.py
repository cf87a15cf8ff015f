"""What the words of the report mean, a plain line each."""

from __future__ import annotations

from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.parts import Section, Sheet

WORDS = (
    ("crisis, not crisis", "What the labels call a message; nobody was diagnosed."),
    (
        "undetermined",
        "The system gave no answer that counts. Such a message goes to a person; it is never taken for “not crisis”.",
    ),
    ("Stage 1", "Whether a message is a crisis."),
    ("Stage 2", "Of a crisis: which categories it belongs to, one or more."),
    ("sensitivity", "Of the crises, the share that was found."),
    ("specificity", "Of the other messages, the share that was cleared."),
    ("false positive rate", "Of the other messages, the share that was taken for a crisis: 1 minus specificity."),
    ("PPV (positive predictive value)", "Of the alarms, the share that are crises. It falls where crises are rarer."),
    (
        "NPV (negative predictive value)",
        "Of the cleared messages, the share that are no crises. It rises where crises are rarer.",
    ),
    ("F1", "One number for sensitivity and PPV together (their harmonic mean): 1 is best, 0 worst."),
    (
        "macro, micro",
        "Macro: the mean over categories, each counting alike. Micro: all categories' counts added up first.",
    ),
    (
        "flat, hierarchical",
        "Flat: over all messages, so what Stage 1 misses counts. Hierarchical: over messages that the system took for a crisis.",
    ),
    (
        "overall flag",
        "A system's one answer, crisis or not. Against a category: as if it were the answer in that category.",
    ),
    (
        "scope",
        "What another system is meant for by its documentation: a category named (direct), a part of it (partial), or not at all (none).",
    ),
    (
        "AUROC",
        "How often a crisis has a higher score than another message, over all pairs of them: 1 is best, 0.5 is a coin.",
    ),
    ("Brier score", "Mean squared distance of a score from what was true (1 or 0): 0 is best."),
    ("log loss", "As the Brier score, but a sure and wrong score costs far more: 0 is best."),
    (
        "ECE (expected calibration error)",
        "How far scores lie, on average, from the share of crises among messages with such scores.",
    ),
    (
        "interval",
        "Where the figure would lie, 95 times of 100 at a level of 95%, if other messages of the same kind had been drawn.",
    ),
    ("Wilson interval", "An interval of a share that holds for few messages, and for shares near 0 or 1."),
    (
        "bootstrap interval",
        "An interval from drawing the same messages again and again, some twice and some not at all.",
    ),
    (
        "McNemar's test",
        "Whether two systems are right equally often, by the messages that only one of them is right about.",
    ),
    ("p", "How often chance alone would make so large a difference, if there were none."),
    ("Holm's adjustment", "Makes p larger where many pairs are tested, since one of many looks striking by chance."),
    ("Cochran's Q", "Whether all systems are right equally often: McNemar's test for more than two."),
    ("Agresti-Min interval", "An interval of the difference between two systems' shares on the same messages."),
)


def glossary(_: Evaluation) -> Section:
    """A plain line for each word that is not plain."""
    return Section(
        "glossary", "Words used here", sheets=(Sheet("In plain words", ("word", "meaning"), WORDS, names=2),)
    )
