"""The overall flag against each category: one answer, crisis or not, held against the messages labelled with each category.

So the VBHSF paper's Table 3 counts the systems that it compares with, since they name other categories or none. Sensitivity says what share of a
category's messages the system flags. Specificity and PPV are no figures of the category: a crisis of another category that is flagged, rightly,
counts as a false alarm in them (`FlagRow.other_crises`).
"""

from __future__ import annotations

import numpy as np

from crisis_filter.evaluation.categories import averages, scoped
from crisis_filter.evaluation.category_records import Flagging, FlagRow
from crisis_filter.evaluation.matching import Answers, Flags, Matched
from crisis_filter.evaluation.records import Settings
from crisis_filter.evaluation.screening import measures, right
from crisis_filter.stats import multilabel

__all__ = ["flag_in_every_category", "flagging"]


def flag_in_every_category(truth: Flags, answers: Answers, settings: Settings) -> Flags:
    """The overall flag as an answer in each category; shape (messages, categories).

    Args:
        truth: shape (messages, categories), which categories each message is labelled with.
        answers: of one system.
        settings: `failures`; an undetermined message counts in each category as it does in Stage 1.

    Returns:
        The flag, the same in every column, but for an undetermined message that counts as wrong on either side: it is
        flagged in the categories that it does not carry, and not in those that it does.
    """
    columns = [truth[:, at] == right(truth[:, at], answers, settings) for at in range(truth.shape[1])]
    return np.stack(columns, axis=1)


def flagging(matched: Matched, answers: Answers, settings: Settings) -> Flagging | None:
    """One system's flag against every category; `None` where the labels do not say the categories of every crisis."""
    truth = matched.truth
    if truth is None:
        return None
    said = flag_in_every_category(truth, answers, settings)
    tables = multilabel.by_category(truth, said, matched.categories)
    elsewhere = (said & ~truth & matched.crisis[:, np.newaxis]).sum(axis=0)
    rows = tuple(
        FlagRow(
            category=category,
            labelled=table.positives,
            tp=table.tp,
            fn=table.fn,
            fp=table.fp,
            tn=table.tn,
            other_crises=int(others),
            measures=measures(table, settings),
        )
        for category, table, others in zip(matched.categories, tables, elsewhere, strict=True)
    )
    whole = averages(matched.categories, truth, said, matched.clusters, settings)
    return Flagging(rows=rows, averages=whole, in_scope=scoped(matched, answers, said, None, settings))
