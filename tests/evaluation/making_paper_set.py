"""A set of 1,800 messages, and three systems' answers to it, with exactly the counts of the VBHSF paper.

The paper's messages are not public; its counts can be worked out (docs/paper.md). This makes rows that have those counts, so that
whatever reads gold labels and runs can be held against the published figures. The texts are placeholders and mean nothing.

How the rows are built, without any chance in it:

1.  Gold. 100 messages for each of the 8 categories carry that label alone, 100 more are mixed, 900 are no crisis. What a category has
    beyond its 100 lies on the mixed ones: 215 labels, so 15 of them carry three and 85 carry two. Each takes the categories
    that have most left to give, which cannot run into a dead end as long as none has more left than there are messages.
2.  Screening misses. VBHSF's 9 are single-label messages, at the end of their category's block. OpenAI and NemoGuard only say crisis
    or not, and the paper counts that as their answer in every category; so their misses must give the label counts too. OpenAI misses 523
    messages and 543 labels: 20 mixed messages with two labels, and 503 at the beginning of the blocks. Those 20 are the mixed pairs
    that carry most of the labels missed on nearly every message (neglect and psychosis are missed on more than 100). NemoGuard misses
    217 messages and 218 labels: one of those 20, and 216 at the beginning of the blocks, so that they lie within OpenAI's, but
    for two that lie just behind them. That is the joint table of the misses (215 shared, 2 NemoGuard's own), from which Cochran's Q follows.
3.  False alarms follow the joint table of the false alarms, pattern by pattern, over the messages that are no crisis.
4.  Categories. 125 wrong labels (82 too many, 43 too few) lie on 88 of VBHSF's 898 flagged messages. Each of the 7 false alarms carries
    one label too many. The 43 labels too few lie on 43 messages: 6 mixed ones, which keep a label, and 37 with a single one, which
    get a wrong one in its place. The other 38 labels too many lie on 38 single-label messages more. 7 + 43 + 38 = 88 messages;
    7 + 37 + 38 = 82 labels too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from crisis_filter.evaluation.paper import Published, published
from crisis_filter.schema import Assessment, Finding, Provenance

Row = dict[str, object]
VERILY = "verily_v1"
_SINGLE, _MIXED, _REST = 100, 100, 900
_WRONG_ON_MIXED = 6


@dataclass(frozen=True)
class PaperSet:
    """Rows as JSON has them; every list has one row a message, in the order of the gold list."""

    gold: list[Row]
    """`id`, `text`, `crisis`, `categories`."""
    vbhsf: list[Row]
    """Assessments with findings."""
    openai: list[Row]
    """`id` and `crisis`."""
    nemo: list[Row]
    """`id` and `crisis`."""


def paper_set() -> PaperSet:
    """Gold labels and runs with the published counts; the same each time."""
    facts = published()
    truth = _truth(facts)
    missed = _misses(facts, truth)
    alarms = _alarms(facts)
    ids = [f"m{at:04}" for at in range(1, len(truth) + 1)]
    gold = [
        {"id": name, "text": f"message {at}", "crisis": bool(labels), "categories": sorted(labels)}
        for at, (name, labels) in enumerate(zip(ids, truth, strict=True), start=1)
    ]
    flags = {
        system: [(at not in missed[system]) if labels else (at in alarms[system]) for at, labels in enumerate(truth)]
        for system in facts.systems
    }
    said = _said(facts, truth, flags["vbhsf"])
    return PaperSet(
        gold=gold,
        vbhsf=[_assessment(name, labels) for name, labels in zip(ids, said, strict=True)],
        openai=[{"id": name, "crisis": flag} for name, flag in zip(ids, flags["openai"], strict=True)],
        nemo=[{"id": name, "crisis": flag} for name, flag in zip(ids, flags["nemo"], strict=True)],
    )


def _assessment(name: str, labels: frozenset[str] | None) -> Row:
    findings = tuple(Finding(category=label) for label in sorted(labels or ()))
    return Assessment(
        id=name,
        outcome="no_crisis" if labels is None else "crisis",
        findings=findings,
        provenance=Provenance(detector="published:vbhsf", version="1"),
    ).model_dump(mode="json")


def _truth(facts: Published) -> list[frozenset[str]]:
    """Labels of each message: a block of 100 for each category, then the mixed ones, then those that are no crisis."""
    positives = {name: c.tp + c.fn + c.missed_by_screen for name, c in facts.categorise["vbhsf"].items()}
    left = Counter({name: count - _SINGLE for name, count in positives.items()})
    threes = left.total() - 2 * _MIXED
    mixed = []
    for at in range(_MIXED):
        labels = frozenset(name for name, _ in left.most_common(3 if at < threes else 2))
        left.subtract(labels)
        mixed.append(labels)
    singles = [frozenset({name}) for name in positives for _ in range(_SINGLE)]
    return [*singles, *mixed, *[frozenset[str]()] * _REST]


def _misses(facts: Published, truth: list[frozenset[str]]) -> dict[str, set[int]]:
    """Which messages in crisis each system lets pass; numbers of rows."""
    blocks = {name: at * _SINGLE for at, name in enumerate(facts.categorise["vbhsf"])}
    openai, nemo = facts.flags_as_categories["openai"], facts.flags_as_categories["nemo"]
    vbhsf = {
        blocks[name] + _SINGLE - 1 - k
        for name, c in facts.categorise["vbhsf"].items()
        for k in range(c.missed_by_screen)
    }
    # As many pairs as OpenAI misses labels beyond messages; those with the labels that it misses nearly always come first.
    beyond = sum(c.fn for c in openai.values()) - facts.screen[VERILY]["openai"].fn
    start = len(blocks) * _SINGLE
    pairs = [at for at in range(start, start + _MIXED) if len(truth[at]) == 2]
    pairs.sort(key=lambda at: -sum(openai[name].fn / (openai[name].tp + openai[name].fn) for name in truth[at]))
    on_mixed = pairs[:beyond]
    labels = Counter(name for at in on_mixed for name in truth[at])
    singles = {name: c.fn - labels[name] for name, c in openai.items()}
    by_openai = {*on_mixed, *(blocks[name] + k for name, count in singles.items() for k in range(count))}

    shared = next(at for at in on_mixed if all(nemo[name].fn for name in truth[at]))
    own = {name: c.fn - (name in truth[shared]) for name, c in nemo.items()}
    by_nemo = {shared, *(blocks[name] + k for name, count in own.items() for k in range(count))}
    # Those that OpenAI does not share, in the categories where it misses fewest, so that there is room behind its misses.
    alone = _patterns(facts, "sensitivity")[("nemo",)]
    for name in sorted((each for each in own if own[each]), key=lambda each: singles[each])[:alone]:
        by_nemo.remove(blocks[name] + own[name] - 1)
        by_nemo.add(blocks[name] + singles[name])
    return {"vbhsf": vbhsf, "openai": by_openai, "nemo": by_nemo}


def _patterns(facts: Published, figure: str) -> dict[tuple[str, ...], int]:
    (table,) = (t for t in facts.wrong_together if (t.data, t.figure) == (VERILY, figure))
    return {pattern.wrong: pattern.messages for pattern in table.patterns}


def _alarms(facts: Published) -> dict[str, set[int]]:
    """Which messages that are no crisis each system flags; numbers of rows."""
    flagged: dict[str, set[int]] = {system: set() for system in facts.systems}
    at = len(facts.categorise["vbhsf"]) * _SINGLE + _MIXED
    for wrong, messages in _patterns(facts, "specificity").items():
        for system in wrong:
            flagged[system] |= set(range(at, at + messages))
        at += messages
    return flagged


def _said(facts: Published, truth: list[frozenset[str]], flagged: list[bool]) -> list[frozenset[str] | None]:
    """The categories VBHSF names for each message; `None` where it does not flag it."""
    said: list[frozenset[str] | None] = [labels if flag else None for labels, flag in zip(truth, flagged, strict=True)]
    cells = facts.categorise["vbhsf"]
    too_few = Counter({name: c.fn for name, c in cells.items()})
    too_many = Counter({name: c.fp for name, c in cells.items()})
    free = _free(truth, flagged)

    def another(than: frozenset[str]) -> str:
        name = next(each for each, left in too_many.most_common() if left and each not in than)
        too_many[name] -= 1
        return name

    for at, (labels, flag) in enumerate(zip(truth, flagged, strict=True)):
        if flag and not labels:
            said[at] = frozenset({another(labels)})
    mixed = (at for at, labels in enumerate(truth) if len(labels) > 1)
    for name, _ in too_few.most_common(_WRONG_ON_MIXED):
        at = next(each for each in mixed if name in truth[each])
        said[at] = truth[at] - {name}
        too_few[name] -= 1
    for name in too_few.elements():
        said[next(free[name])] = frozenset({another(frozenset({name}))})
    for name in cycle(cells):
        if not too_many.total():
            return said
        at = next(free[name])
        said[at] = truth[at] | {another(truth[at])}
    raise AssertionError("there are categories")


def _free(truth: list[frozenset[str]], flagged: list[bool]) -> dict[str, Iterator[int]]:
    """Of each category, the flagged messages that carry it alone; each is given out once."""
    return {
        name: iter([at for at, labels in enumerate(truth) if labels == {name} and flagged[at]])
        for labels in set(truth)
        if len(labels) == 1
        for name in labels
    }
