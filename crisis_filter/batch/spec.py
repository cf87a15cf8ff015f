"""What a batch is: inputs, how they are read, what judges, how fast. Frozen; may be sent to a worker."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from crisis_filter import assets
from crisis_filter.backends.together import MOST
from crisis_filter.batch.journal_lines import Fingerprint
from crisis_filter.pipeline.chain import engine_folder
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.schema import Record

__all__ = ["BatchSpec", "Reading", "fingerprint"]

# What judges the same, however it is set.
_PACE = {"api_key", "attempt_timeout_s", "deadline_s", "attempts", "engine_threads", "places"}


class Reading(Record):
    """How inputs are read."""

    format: str | None = None
    """`None` goes by the ending of each."""
    text_column: str | None = None
    id_column: str | None = None
    locale: str | None = None


class BatchSpec(Record):
    """Everything a batch needs."""

    inputs: tuple[str, ...] = Field(min_length=1)
    """Files."""
    output: str
    reading: Reading = Reading()
    judging: FilterSpec = FilterSpec()
    slots: int = Field(default=64, ge=1, le=4096)
    """Messages in work at once."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes; more than one is for the embedded engine alone."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    most_requests: int | None = Field(default=None, ge=1)
    """A budget: the run stops before it sends more."""
    most_money: float | None = Field(default=None, gt=0)
    """The same in the currency of the prices below."""
    prompt_price: float | None = Field(default=None, ge=0)
    """Of a million prompt tokens."""
    completion_price: float | None = Field(default=None, ge=0)
    """Of a million completion tokens."""
    reuse: bool = False
    """Whether a text that comes again letter by letter gets the verdict that it got before in this start; complete verdicts only."""
    fast: bool = True
    """Whether requests may take the fast lane."""
    together: int = Field(default=1, ge=1, le=MOST)
    """Messages to a Stage 1 request at most; more than one needs `proof`."""
    proof: str | None = None
    """Path of the proof that this loses no more crises than a margin, which `batch together validate` made."""


def fingerprint(spec: BatchSpec, crisis_filter: CrisisFilter) -> Fingerprint:
    """What judges, and how the inputs are read: where it differs, assessments do not belong into one output.

    Args:
        spec: the batch.
        crisis_filter: opened from it.
    """
    judging = spec.judging.model_dump(mode="json", exclude=_PACE)
    fallbacks = spec.judging.fallbacks
    judging["fallbacks"] = None if fallbacks is None else [f if isinstance(f, str) else f.name for f in fallbacks]
    if spec.judging.backend == LOCAL or spec.judging.cascade or fallbacks is None or LOCAL in fallbacks:
        judging["engine"] = assets.file_sha256(engine_folder(spec.judging.engine) / "engine.json")
    if spec.judging.clearing is not None:
        judging["clearing"] = assets.file_sha256(Path(spec.judging.clearing).expanduser())
    if spec.together > 1 and spec.proof is not None:
        judging["together"] = [spec.together, assets.file_sha256(Path(spec.proof).expanduser())]
    options = {name: json.dumps(value) for name, value in judging.items() if value is not None}
    options |= {f"reading.{name}": str(value) for name, value in spec.reading if value is not None}
    return Fingerprint(
        policy=crisis_filter.policy.ref,
        prompts=crisis_filter.prompts,
        taxonomy=crisis_filter.taxonomy.ref,
        backend=crisis_filter.detector,
        options=options,
    )
