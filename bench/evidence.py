"""Do the words that the engine names carry its score? And what does naming them cost?

    python -m bench.evidence [--engine FOLDER] [--split development] [--messages 200]

Of crises of `data/simulated-v1` that the engine finds: the fifth of the words that it ranks first is taken out, and so are as many words at random, and the fall of the logit of
crisis is compared. Then how many of the crises come with a quote, how much of the message the quotes are, and how long it takes (one thread).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from crisis_filter.datasets.reading import load
from crisis_filter.local.engine import LocalEngine
from crisis_filter.local.evidence import Moved, moving_words
from crisis_filter.pipeline.chain import engine_folder
from crisis_filter.pipeline.spec import DEFAULT_ENGINE

SET = Path(__file__).parent.parent / "data/simulated-v1"
_SEED = 20261122


def without(moved: Moved, places: Iterable[int]) -> str:
    """The passage without some of its words."""
    gone = set(places)
    return " ".join(moved.text[a:b] for i, (a, b) in enumerate(moved.spans) if i not in gone)


def logit(engine: LocalEngine, text: str) -> float:
    """Of any crisis."""
    p = float(np.clip(engine.score(text)[0], 1e-7, 1 - 1e-7))
    return float(np.log(p / (1 - p)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help="name or folder")
    parser.add_argument("--split", default="development")
    parser.add_argument("--messages", type=int, default=200)
    given = parser.parse_args()
    engine = LocalEngine.load(engine_folder(given.engine))
    rng = np.random.default_rng(_SEED)
    rows = [row for row in load(SET, given.split) if row.crisis]
    texts = [rows[i].text for i in rng.permutation(len(rows))]
    found = [text for text in texts if engine.score(text)[0] >= engine.thresholds[0]][: given.messages]
    named, chance, spent, quoted, share = [], [], [], 0, []
    for text in found:
        start = time.perf_counter()
        moved = moving_words(engine, text)
        spent.append((time.perf_counter() - start) * 1e3)
        if moved is None:
            continue
        phrases = moved.phrases(0)
        quoted += bool(phrases)
        share.append(sum(map(len, phrases)) / len(text))
        n = len(moved.spans)
        k = max(1, round(0.2 * n))
        whole = logit(engine, without(moved, ()))
        named.append(whole - logit(engine, without(moved, map(int, np.argsort(-moved.drops[:, 0])[:k]))))
        chance.append(whole - logit(engine, without(moved, map(int, rng.permutation(n)[:k]))))
    apart = np.array(named) - np.array(chance)
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    print(f"{engine.id}, {given.split}: {len(found)} crises that it finds")
    print(
        f"fall of the logit without the fifth of the words ranked first {np.mean(named):.2f}, without as many at random {np.mean(chance):.2f}"
    )
    print(f"difference {apart.mean():.2f} (95% {apart.mean() - 1.96 * error:.2f} to {apart.mean() + 1.96 * error:.2f})")
    print(f"with a quote {quoted} of {len(found)}; quotes are {100 * np.mean(share):.0f}% of a message on average")
    print(f"time: p50 {np.median(spent):.0f} ms, p99 {np.quantile(spent, 0.99):.0f} ms, longest {max(spent):.0f} ms")


if __name__ == "__main__":
    main()
