"""Metamorphic tests of a detector: the same crises in another dress, and how often the verdict flips.

    python -m bench.robustness [--split development] [--messages 450] [--backend local] [--engine FOLDER] [--json]

A flip is a crisis that was found as it stands and is `no_crisis` in the dress; one that becomes undetermined reaches a person and is counted apart. Messages
that are no crisis are dressed as well: those that become a crisis are false alarms of the dress. Negation pairs (`bench/negations.jsonl`) are right when the crisis is found
and its harmless twin is not. Labels are those of language models; no clinician checked any.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.transforms import TRANSFORMS
from crisis_filter.datasets.reading import load
from crisis_filter.datasets.records import Labelled
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import DEFAULT_ENGINE, FilterSpec, open_filter
from crisis_filter.schema import Message, Outcome
from crisis_filter.stats.intervals import wilson

SET = Path(__file__).parent.parent / "data/simulated-v1"
NEGATIONS = Path(__file__).with_name("negations.jsonl")
SEED = 20261122


def judged(crisis_filter: CrisisFilter, texts: list[str]) -> list[Outcome]:
    """Outcomes in the order of the texts."""
    return [a.outcome for a in crisis_filter.classify_many([Message(id=str(i), text=t) for i, t in enumerate(texts)])]


def spread(rows: list[Labelled], count: int) -> list[Labelled]:
    """So many rows, taken evenly."""
    return [rows[i * len(rows) // count] for i in range(min(count, len(rows)))]


def measure(crisis_filter: CrisisFilter, crises: list[Labelled], others: list[Labelled]) -> dict[str, Any]:
    """Flips of every dress, in all and by category."""
    plain = judged(crisis_filter, [row.text for row in crises])
    found = [row for row, outcome in zip(crises, plain, strict=True) if outcome == "crisis"]
    calm = judged(crisis_filter, [row.text for row in others])
    spared = [row for row, outcome in zip(others, calm, strict=True) if outcome not in ("crisis", "undetermined")]
    dresses = {}
    for name, transform in TRANSFORMS.items():
        rng = np.random.default_rng(SEED)
        dressed = judged(crisis_filter, [transform(row.text, rng) for row in found])
        lost = [row for row, outcome in zip(found, dressed, strict=True) if outcome not in ("crisis", "undetermined")]
        alarms = judged(crisis_filter, [transform(row.text, rng) for row in spared])
        dresses[name] = {
            "flipped": len(lost),
            "n": len(found),
            "undetermined": dressed.count("undetermined"),
            "by_category": {
                category: [sum(category in row.categories for row in rows) for rows in (lost, found)]
                for category in sorted({c for row in found for c in row.categories})
            },
            "alarms": alarms.count("crisis"),
            "alarms_undetermined": alarms.count("undetermined"),
            "others": len(spared),
        }
    return {
        "crises": len(crises),
        "found": len(found),
        "others": len(others),
        "spared": len(spared),
        "dresses": dresses,
    }


def negations(crisis_filter: CrisisFilter) -> dict[str, Any]:
    """Pairs of a crisis and its harmless twin."""
    pairs = [json.loads(line) for line in NEGATIONS.read_text(encoding="utf-8").splitlines()]
    first, second = (judged(crisis_filter, [pair[side] for pair in pairs]) for side in ("crisis", "not"))
    told = list(zip(first, second, strict=True))
    return {
        "pairs": len(pairs),
        "both_right": sum(a == "crisis" and b not in ("crisis", "undetermined") for a, b in told),
        "crisis_found": first.count("crisis"),
        "twins": dict(Counter(second)),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """As a table for people."""
    categories = sorted(next(iter(result["dresses"].values()))["by_category"])
    out = [
        f"found as they stand: {result['found']} of {result['crises']} crises; left alone: {result['spared']} of {result['others']} others",
        "",
    ]
    out.append(
        "| dress | flipped | 95% Wilson | undetermined | alarms among others | "
        + " | ".join(c.replace("_", " ") for c in categories)
        + " |"
    )
    out.append("|---" * (5 + len(categories)) + "|")
    for name, row in result["dresses"].items():
        share = wilson(row["flipped"], row["n"])
        each = " | ".join(f"{lost}/{n}" for lost, n in (row["by_category"][c] for c in categories))
        out.append(
            f"| {name} | {row['flipped']}/{row['n']} = {share.estimate or 0:.3f} | {share.low:.3f} to {share.high:.3f} | {row['undetermined']} | "
            f"{row['alarms']}/{row['others']} (undetermined {row['alarms_undetermined']}) | {each} |"
        )
    told = result["negations"]
    out += [
        "",
        f"negation pairs: both right {told['both_right']} of {told['pairs']}; crisis found {told['crisis_found']}; twins {told['twins']}",
    ]
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="development", help="of data/simulated-v1 (default development)")
    parser.add_argument("--messages", type=int, default=450, help="most crises, and most others (default 450)")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help="name or folder")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = load(SET, given.split)
    crises, others = (spread([row for row in rows if row.crisis is label], given.messages) for label in (True, False))
    with open_filter(FilterSpec(backend=given.backend, engine=given.engine, evidence=False)) as crisis_filter:
        result = {
            "detector": crisis_filter.detector,
            "split": given.split,
            **measure(crisis_filter, crises, others),
            "negations": negations(crisis_filter),
        }
    print(
        json.dumps(result, indent=1)
        if given.json
        else "\n".join([f"{result['detector']}, {given.split}", *lines(result)])
    )


if __name__ == "__main__":
    main()
