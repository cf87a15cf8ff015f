"""Rows by the million through reader, journal and output, with what memory and time that takes: `million.py FOLDER ROWS [ENDING]`."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from pathlib import Path

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.ledger import ledger
from crisis_filter.batch.output import finish
from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment, Disposition, Finding, PromptRef, Provenance
from tests.batch.playing import head_for, inputs_in, rows_of

FULL = Provenance(
    detector="openai:a-model-of-somebody",
    model="a-model-of-somebody-2026-01-01",
    prompts=(PromptRef(id="screen/terse-v1", sha256="ab" * 32), PromptRef(id="categorise/terse-v1", sha256="cd" * 32)),
    taxonomy=PromptRef(id="clinical-v1", sha256="ef" * 32),
    policy=PromptRef(id="default-v3", sha256="01" * 32),
    version="0.1.0",
    views=1,
    attempts=1,
    answered_by=("openai:a-model-of-somebody",),
    elapsed_ms=123.4,
)
NOBODY = Disposition(queue="none", urgency="routine", rule="not-crisis")
KINDS = (
    *[Assessment(id="x", outcome="no_crisis", score=0.01, score_source="stated", disposition=NOBODY, provenance=FULL)]
    * 9,
    Assessment(id="x", outcome="undetermined", fault=Fault.TIMEOUT, disposition=NOBODY, provenance=FULL),
    Assessment(id="x", outcome="crisis", findings=(Finding(category="suicide"),), disposition=NOBODY, provenance=FULL),
)


def megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def write_rows(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for row in range(rows):
            file.write(
                f'{{"id":"message-{row:09}","text":"a short message of somebody, number {row}, of eighty or so characters"}}\n'
            )


def main(folder: Path, rows: int, ending: str) -> dict[str, object]:
    write_rows(folder / "in1.jsonl", rows)
    out = folder / f"out{ending}"
    head = head_for(folder)
    gc.collect()
    start = megabytes()
    told: dict[str, object] = {"rows": rows, "start_mb": start}
    times = [(time.perf_counter(), time.process_time())]

    def lap(name: str) -> None:
        times.append((time.perf_counter(), time.process_time()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        told[name] = {
            "wall_s": round(times[-1][0] - times[-2][0], 2),
            "cpu_s": round(times[-1][1] - times[-2][1], 2),
            "peak_mb_over_start": round(peak * 1.024 - start, 1),
        }

    with Journal.open(out, head) as journal:
        received = 0
        for row in rows_of(inputs_in(folder)):
            received += 1
            if row.message is not None:
                assessment = KINDS[row.number % len(KINDS)].model_copy(update={"id": row.message.id})
                while journal.full:
                    time.sleep(0.001)
                journal.add(row.number, journal.key(row.message), assessment, place=row.place)
        journal.flush()
        lap("judged")
        finish(journal, received=received)
        lap("made")
    with Journal.open(out, head_for(folder)) as journal:
        told["finished"] = journal.finished
    lap("opened again, inputs hashed")
    with Journal.open(out, head, verify=True) as journal:
        told["finished"] = told["finished"] and journal.finished
    lap("opened again, verified")
    told["balanced"] = ledger(out).balanced
    lap("ledger")
    told["journal_mb"] = round(Files(out).journal.stat().st_size / 1e6)
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), (sys.argv[3:] or [".jsonl"])[0])) + "\n")
