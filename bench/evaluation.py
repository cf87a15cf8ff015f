"""How long an evaluation takes: many assessments of several systems, read from files, every figure made.

    python -m bench.evaluation [--messages 100000] [--systems 5] [--resamples 2000]

The files are made up (a share of crises, errors by chance with a fixed seed, a score for each); only the time means anything.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from crisis_filter.evaluation.evaluate import evaluate
from crisis_filter.evaluation.gold import read_gold
from crisis_filter.evaluation.records import Settings
from crisis_filter.evaluation.runs import read_run
from crisis_filter.schema import Assessment, Finding, Provenance
from crisis_filter.taxonomy.load import load_taxonomy

CRISES = 0.1


def write(folder: Path, messages: int, systems: int, categories: tuple[str, ...]) -> tuple[Path, list[Path]]:
    """Labels, and a run for each system."""
    rng = np.random.default_rng(20261121)
    truth = rng.random((messages, len(categories))) < CRISES / len(categories)
    gold = folder / "gold.jsonl"
    topics = rng.integers(0, 20, messages)
    with gold.open("w") as file:
        for at, row in enumerate(truth):
            named = [name for name, there in zip(categories, row, strict=True) if there]
            labels = {"id": f"m{at}", "crisis": bool(named), "categories": named, "topic": f"topic {topics[at]}"}
            file.write(json.dumps(labels) + "\n")
    runs = []
    for number in range(systems):
        runs.append(folder / f"system{number}.jsonl")
        with runs[-1].open("w") as file:
            for one in assessments(truth, categories, 0.02 + 0.01 * number, rng):
                file.write(one.model_dump_json() + "\n")
    return gold, runs


def assessments(
    truth: np.ndarray, categories: tuple[str, ...], error: float, rng: np.random.Generator
) -> Iterator[Assessment]:
    """What a system that errs so often says."""
    said = truth ^ (rng.random(truth.shape) < error / truth.shape[1])
    failed = rng.random(len(truth)) < 0.005
    scores = np.clip(rng.normal(np.where(said.any(axis=1), 0.8, 0.2), 0.2), 0, 1)
    how = Provenance(detector="made up", version="0", model="m", views=1, elapsed_ms=1.0)
    for at, row in enumerate(said):
        named = [name for name, there in zip(categories, row, strict=True) if there]
        if failed[at]:
            yield Assessment(id=f"m{at}", outcome="undetermined", fault="timeout", provenance=how)
        else:
            yield Assessment(
                id=f"m{at}",
                outcome="crisis" if named else "no_crisis",
                score=float(scores[at]),
                score_source="engine",
                findings=tuple(Finding(category=name) for name in named),
                provenance=how,
            )


def main() -> None:
    """Make the files, evaluate, and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--systems", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=2000)
    given = parser.parse_args()
    known = load_taxonomy("clinical-v1").ids
    settings = Settings(
        level=0.95, interval="wilson", adjustment="holm", resamples=given.resamples, seed=0, failures="wrong"
    )
    with TemporaryDirectory() as folder:
        gold, runs = write(Path(folder), given.messages, given.systems, tuple(known))
        start = time.perf_counter()
        labels = read_gold(gold, known)
        read = [read_run(path, known, "clinical-v1") for path in runs]
        between = time.perf_counter()
        found = evaluate(labels, read, known, settings)
        end = time.perf_counter()
    print(
        f"{given.messages:,} messages x {given.systems} systems, {given.resamples:,} draws, {len(found.pairs)} tests of pairs"
    )
    print(f"reading {between - start:.1f} s, figures {end - between:.1f} s, together {end - start:.1f} s")
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
