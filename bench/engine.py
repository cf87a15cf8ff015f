"""Speed, memory and accuracy of the embedded engine: `python -m bench.engine [--json] [--engine FOLDER] [EXTERNAL.jsonl]`.

Times are wall-clock on one thread, tokenizer included. EXTERNAL is any file of lines with `id, text, crisis, categories`
(`crisis` true, false, 1, 0, or null for "do not score"); it is read where it lies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crisis_filter.assets import find
from crisis_filter.datasets.reading import load
from crisis_filter.datasets.records import Split
from crisis_filter.local.artifact import bundled
from crisis_filter.local.engine import LocalEngine
from crisis_filter.local.evidence import moving_words
from crisis_filter.local.train.measure import count
from crisis_filter.stats.intervals import wilson

MESSAGE = "i dont know what to do anymore my boyfriend took my phone again and now he wont let me leave"
RUNS = 500
_COLD = """
import time
start = time.perf_counter()
from pathlib import Path
from crisis_filter.local.engine import LocalEngine
engine = LocalEngine.load(Path({folder!r}))
engine.score({text!r})
seconds = time.perf_counter() - start
rss = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(seconds, rss, peak)
"""


def milliseconds(call: Callable[[int], object], runs: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Time of each of `runs` calls, after five that don't count."""
    spent = []
    for i in range(-5, runs):
        start = time.perf_counter()
        call(i)
        spent.append((time.perf_counter() - start) * 1e3)
    return np.array(spent[5:])


def cold(folder: Path, processes: int = 5) -> dict[str, float]:
    """Import, load and first verdict in fresh processes: the median seconds, and memory afterwards in MB (Linux only)."""
    rows = []
    for _ in range(processes):
        code = _COLD.format(folder=str(folder), text=MESSAGE)
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        rows.append([float(part) for part in done.stdout.split()])
    seconds, rss, peak = np.median(rows, axis=0)
    return {"cold_start_s": seconds, "rss_mb": rss * 1024 / 1e6, "peak_rss_mb": peak * 1024 / 1e6}


def speed(engine: LocalEngine) -> dict[str, float]:
    """Latencies in milliseconds and the rate of batches of 32, by one thread."""
    short = milliseconds(lambda i: engine.score(f"{MESSAGE} {i}"), RUNS)
    long = milliseconds(lambda i: engine.score(" ".join([MESSAGE] * 10) + f" {i}"), RUNS // 5)
    evidence = milliseconds(lambda i: moving_words(engine, f"{MESSAGE} {i}"), RUNS // 10)
    evidence_long = milliseconds(lambda i: moving_words(engine, " ".join([MESSAGE] * 10) + f" {i}"), RUNS // 20)
    batch = milliseconds(lambda i: engine.predict([f"{MESSAGE} {i} {j}" for j in range(32)]), RUNS // 10)
    return {
        "runs": RUNS,
        "words_20_p50_ms": float(np.median(short)),
        "words_20_p99_ms": float(np.quantile(short, 0.99)),
        "words_200_p50_ms": float(np.median(long)),
        "evidence_20_p50_ms": float(np.median(evidence)),
        "evidence_200_p50_ms": float(np.median(evidence_long)),
        "batch_32_per_s": 32e3 / float(np.median(batch)),
    }


def _rate(hits: int, nobs: int) -> dict[str, float | int | None]:
    found = wilson(hits, nobs)
    return {"count": hits, "n": nobs, "estimate": found.estimate, "low": found.low, "high": found.high}


def accuracy(engine: LocalEngine, texts: list[str], truth: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    """Counts and intervals at the engine's thresholds."""
    found = count(engine.predict(texts), truth, np.array(engine.thresholds))
    return {
        "sensitivity": _rate(found.true_positive, found.true_positive + found.false_negative),
        "specificity": _rate(found.true_negative, found.true_negative + found.false_positive),
        "auc": found.auc,
        "macro_f1": found.macro_f1,
        "category_f1": dict(zip(engine.labels[1:], found.category_f1, strict=True)),
    }


def sets(engine: LocalEngine, external: Path | None) -> dict[str, Any]:
    """Accuracy on the splits of simulated-v1 and on the external file."""
    out: dict[str, Any] = {}
    splits: tuple[Split, ...] = ("development", "validation", "test", "test-hard")
    for split in splits:
        rows = load(find("data", "simulated-v1"), split)
        truth = np.array([[r.crisis, *(c in r.categories for c in engine.labels[1:])] for r in rows])
        out[split] = accuracy(engine, [r.text for r in rows], truth)
    if external is not None:
        lines = [json.loads(line) for line in external.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if line["crisis"] is not None]
        truth = np.array([[bool(r["crisis"]), *(c in r["categories"] for c in engine.labels[1:])] for r in lines])
        out[f"external: {external.name}"] = accuracy(engine, [r["text"] for r in lines], truth)
    return out


def _show(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def table(result: dict[str, Any]) -> str:
    """The result as plain text."""
    lines = [f"engine {result['engine']}  sha256 {result['sha256'][:16]}  {result['size_mb']:.1f} MB on disk", ""]
    lines += [f"  {name:<20}{value:>10.2f}" for name, value in result["speed"].items()]
    lines += ["", f"labels: {result['labelled_by']}"]
    for name, found in result["accuracy"].items():
        lines += ["", name]
        for rate in ("sensitivity", "specificity"):
            r = found[rate]
            lines.append(
                f"  {rate:<14}{r['count']:>5} of {r['n']:<5}{_show(r['estimate'])}  95% {r['low']:.3f} to {r['high']:.3f}"
            )
        lines.append(f"  AUC           {_show(found['auc'])}    macro F1 {_show(found['macro_f1'])}")
        lines.append("  F1 " + "  ".join(f"{c} {_show(v)}" for c, v in found["category_f1"].items()))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("external", nargs="?", type=Path, help="labelled messages of another origin, JSON Lines")
    parser.add_argument("--engine", type=Path, default=None, help="engine folder; the bundled one if left out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    folder = (args.engine or bundled()).resolve()
    engine = LocalEngine.load(folder)
    result = {
        "engine": engine.id,
        "sha256": engine.sha256,
        "size_mb": sum(path.stat().st_size for path in folder.iterdir()) / 1e6,
        "speed": {**cold(folder), **speed(engine)},
        "labelled_by": f"{engine.card.figures.get('labelled_by')}; an external file's labels are its own",
        "accuracy": sets(engine, args.external),
    }
    print(json.dumps(result, indent=2) if args.json else table(result))


if __name__ == "__main__":
    main()
