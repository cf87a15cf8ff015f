"""Small files of labels and answers for the tests of the evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from crisis_filter.evaluation.gold import Gold, read_gold
from crisis_filter.evaluation.runs import Run, read_run
from crisis_filter.schema import Assessment, Finding, PromptRef, Provenance

CATEGORIES = ("abuse", "neglect", "suicide")
TAXONOMY = PromptRef(id="clinical-v1", sha256="0" * 64)
PROMPTS = (
    PromptRef(id="screen/reasoned-v2", sha256="2" * 64),
    PromptRef(id="categorise/reasoned-v2", sha256="3" * 64),
)


def lines(path: Path, rows: Iterable[Mapping[str, object] | str]) -> Path:
    """Write JSON Lines; a string is a line as it stands."""
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows), encoding="utf-8")
    return path


def labelled(at: str, *categories: str, **more: object) -> dict[str, object]:
    """A row of labels."""
    return {"id": at, "crisis": bool(categories), "categories": list(categories), **more}


def assessed(
    at: str,
    *categories: str,
    outcome: str | None = None,
    score: float | None = None,
    fault: str | None = None,
    policy: str = "default-v3",
    detector: str = "scripted",
) -> dict[str, object]:
    """A row of `classify --json`: a crisis of these categories, or what `outcome` says."""
    said = outcome or ("crisis" if categories else "no_crisis")
    one = Assessment(
        id=at,
        outcome=said,  # type: ignore[arg-type]
        score=score,
        score_source=None if score is None else "engine",
        findings=tuple(Finding(category=name) for name in categories or (("unspecified",) if said == "crisis" else ())),
        fault=fault or ("timeout" if said == "undetermined" else None),  # type: ignore[arg-type]
        provenance=Provenance(
            detector=detector,
            prompts=PROMPTS,
            taxonomy=TAXONOMY,
            policy=PromptRef(id=policy, sha256="1" * 64),
            version="0.1.0",
        ),
    )
    found: dict[str, object] = json.loads(one.model_dump_json())
    return found


def files(folder: Path, gold: Sequence[Mapping[str, object]], *runs: Sequence[Mapping[str, object]]) -> list[Path]:
    """`gold.jsonl` and one file a run, `run1.jsonl` and so on."""
    return [lines(folder / "gold.jsonl", gold), *(lines(folder / f"run{n}.jsonl", r) for n, r in enumerate(runs, 1))]


def gold(path: Path, **more: object) -> Gold:
    """The labels of a file."""
    return read_gold(path, CATEGORIES, **more)  # type: ignore[arg-type]


def run(path: Path, **more: object) -> Run:
    """The answers of a file."""
    return read_run(path, CATEGORIES, "clinical-v1", **more)  # type: ignore[arg-type]
