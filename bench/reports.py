"""The evaluation reports of the embedded engine, and of it beside the recorded readers, on simulated-v1's test and test-hard.

    python -m bench.reports [--out build/reports]

Judges every message with the engine, replays the recorded answers of the readers (300 messages of test, 150 of test-hard), and runs
`crisis-filter evaluate` on what was stored. Needs the `report` extra, which `make test` installs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from crisis_filter.datasets.reading import load
from crisis_filter.datasets.records import Labelled, Split
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Message
from crisis_filter.tables.flat import json_line

ROOT = Path(__file__).parent.parent
SET = ROOT / "data/simulated-v1"
SPLITS: tuple[Split, ...] = ("test", "test-hard")


def store(spec: FilterSpec, rows: Iterable[Labelled], path: Path) -> Path:
    """Assessments of these messages, as `classify --json` writes them."""
    with open_filter(spec) as crisis_filter, path.open("wb") as file:
        for assessment in crisis_filter.classify_many([Message(id=row.id, text=row.text) for row in rows]):
            file.write(json_line(assessment))
    return path


def evaluate(split: Split, target: Path, *runs: str) -> None:
    """Print the tables and write the report."""
    more = ["--common"] if len(runs) > 1 else []
    command = [sys.executable, "-m", "crisis_filter", "evaluate", str(SET), *runs, "--split", split, *more, "--force"]
    print(f"\n$ crisis-filter {' '.join(command[3:]).replace(f'{ROOT}/', '')}", flush=True)
    written = [word for ending in ("html", "md", "json") for word in ("--output", f"{target}.{ending}")]
    subprocess.run([*command, *written], check=True)


def main() -> None:
    """Judge, replay, evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/reports"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = load(SET, split)
        engine = store(FilterSpec(), rows, out / f"engine-{split}.jsonl")
        recording = ROOT / f"bench/recordings/readers-{split}-v2"
        asked = set((recording / "ids.txt").read_text(encoding="utf-8").split())
        spec = FilterSpec(backend=f"recorded:{recording / 'recording.jsonl'}", fallbacks=())
        readers = store(spec, [row for row in rows if row.id in asked], out / f"readers-{split}.jsonl")
        evaluate(split, out / f"engine-{split}", f"engine={engine}")
        evaluate(split, out / f"readers-{split}", f"engine={engine}", f"readers={readers}")


if __name__ == "__main__":
    main()
