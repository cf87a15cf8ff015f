"""A configured filter on the sets of `data/simulated-v1`: sensitivity, specificity and categories, faults inside the denominators.

    python -m bench.sets [--backend local] [--splits test test-hard] [--external PATH/single_turn.jsonl]

Undetermined counts as wrong in both rates. Labels are those of language models; no clinician checked any.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from crisis_filter.datasets.reading import load
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Assessment, Message, Outcome
from crisis_filter.stats.intervals import wilson

SET = Path(__file__).parent.parent / "data/simulated-v1"
Gold = tuple[str, str, bool, tuple[str, ...], str]
"""Id, text, whether a crisis, categories, stratum."""
RATES: tuple[tuple[bool, Outcome, str], ...] = ((True, "crisis", "sensitivity"), (False, "no_crisis", "specificity"))


def rate(name: str, right: int, n: int, undetermined: int) -> str:
    """A line with count, share and interval."""
    found = wilson(right, n)
    share = "undefined" if found.estimate is None else f"{found.estimate:.3f}"
    return f"  {name:12} {right:4}/{n:<5} {share} (95% Wilson {found.low:.3f} to {found.high:.3f}), undetermined {undetermined}"


def report(name: str, gold: Sequence[Gold], done: Sequence[Assessment]) -> None:
    """Print the rates of one set."""
    print(f"{name}: {len(gold)} messages")
    by_id = {a.id: a for a in done}
    pairs = [(row, by_id[row[0]]) for row in gold]
    for crisis, right, label in RATES:
        outcomes = Counter(a.outcome for row, a in pairs if row[2] is crisis)
        print(rate(label, outcomes[right], outcomes.total(), outcomes["undetermined"]))
    kinds = sorted({c for row in gold for c in row[3]})
    scores = []
    for kind in kinds:
        named = {a.id for a in done if any(f.category == kind for f in a.findings)}
        true = {row[0] for row in gold if kind in row[3]}
        both = len(named & true)
        f1 = 2 * both / (len(named) + len(true))
        scores.append(f1)
        print(f"    {kind:18} {both:4} of {len(named):4} named and {len(true):4} labelled   F1 {f1:.3f}")
    if scores:
        print(f"    macro F1, flat, end to end {sum(scores) / len(scores):.3f}")
    wrong = Counter(row[4] for row, a in pairs if a.outcome != ("crisis" if row[2] else "no_crisis"))
    print(f"  wrong or undetermined by stratum: {dict(wrong.most_common(12))}")


def external(path: Path) -> list[Gold]:
    """Rows of a file of JSON Lines with `text` and `crisis` (true, false, 1 or 0); others are left out."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (row["id"], row["text"], bool(row["crisis"]), (), str(row.get("source", "")))
        for row in rows
        if row.get("crisis") in (0, 1)
    ]


def main() -> None:
    """Assess and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="local")
    parser.add_argument("--splits", nargs="+", default=["test", "test-hard"])
    parser.add_argument("--external", type=Path)
    given = parser.parse_args()
    sets: dict[str, list[Gold]] = {
        split: [(row.id, row.text, row.crisis, row.categories, row.stratum) for row in load(SET, split)]
        for split in given.splits
    }
    if given.external:
        sets[given.external.name] = external(given.external)
    with open_filter(FilterSpec(backend=given.backend)) as crisis_filter:
        print(f"{crisis_filter.detector}, policy {crisis_filter.policy.ref.id}")
        for name, gold in sets.items():
            report(name, gold, crisis_filter.classify_many([Message(id=row[0], text=row[1]) for row in gold]))


if __name__ == "__main__":
    main()
