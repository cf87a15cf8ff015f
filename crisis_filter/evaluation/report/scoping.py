"""What a baseline is meant for, in words beside its figures."""

from __future__ import annotations

from crisis_filter.evaluation.category_records import InScope, Scope
from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.words import category_words, clean

_WORDS = (
    "Scope is what a baseline is meant for by its own documentation, category by category. direct: it names the category, or one that holds it "
    "whole; partial: some of it, or as part of something else; none: it is not meant for it, so that a low figure there tells what its user "
    "goes without, and not that it fails at its task."
)


def scope_words(evaluation: Evaluation) -> tuple[str, ...]:
    """The paragraph that says what scope is; none where no system has one."""
    return (_WORDS,) if any(each.system.scope is not None for each in evaluation.systems) else ()


def in_scope_words(inner: InScope, categories: int) -> str:
    """`the 4 of 8 categories in scope`."""
    return f"{len(inner.categories)} of {categories} categories in scope"


def marked(scope: Scope) -> str:
    """All marks of one system: `direct: suicide, self harm; none: neglect`."""
    found: dict[str, list[str]] = {}
    for category, mark in scope.marks.items():
        found.setdefault(mark, []).append(category_words(category))
    order = [mark for mark in ("direct", "partial", "none") if mark in found]
    return f"scope after the map {clean(scope.source)}. " + "; ".join(
        f"{mark}: {', '.join(found[mark])}" for mark in order
    )
