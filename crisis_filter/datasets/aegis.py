"""NVIDIA's Aegis AI Content Safety Dataset 2.0, and the part of it that the VBHSF paper was tested on.

The set is called Nemotron Content Safety Dataset V2 today. Licence: CC BY 4.0, as its card says
(https://huggingface.co/datasets/nvidia/Aegis-AI-Content-Safety-Dataset-2.0). None of it is shipped here; see docs/datasets.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crisis_filter.datasets.gold import Gold, RawLabel, unique
from crisis_filter.datasets.objects import Entry, kind_of, read_objects
from crisis_filter.datasets.similarity import fingerprint

NAME = "aegis-2.0"
CATEGORY = "suicide and self harm"
PUBLISHED = 794
"""Messages in the paper's subset."""
_REDACTED = "REDACTED"


@dataclass(frozen=True, slots=True)
class SubsetReport:
    """How many rows each step left. The last of them is `crisis + not_crisis`."""

    rows: int
    """In the files."""
    human: int
    """Of these, with `prompt_label_source` `human`."""
    in_category: int
    """Of these, whose `violated_categories` hold "Suicide and Self Harm"."""
    distributed: int
    """Of these, whose text is there: rows of the Suicide Detection source are redacted in the files."""
    unique: int
    """Different texts among these (case, white space and compatibility forms folded)."""
    contradicted: int
    """Texts among these whose copies carry both labels. They are left out: neither label is known."""
    crisis: int
    not_crisis: int

    def __str__(self) -> str:
        """The steps, one a line, counts first."""
        return "\n".join(
            (
                f"{self.rows:>7} rows in the files",
                f"{self.human:>7} labelled by people",
                f"{self.in_category:>7} in the category Suicide and Self Harm",
                f"{self.distributed:>7} with their text (rows of the Suicide Detection source are redacted)",
                f"{self.unique:>7} different texts",
                f"{self.contradicted:>7} texts left out because their copies carry both labels",
                f"{self.crisis:>7} crisis (unsafe), {self.not_crisis} not crisis (safe); the paper has {PUBLISHED}",
            )
        )


def load_aegis(paths: Path | Sequence[Path]) -> tuple[tuple[Gold, ...], SubsetReport]:
    """The prompts about suicide and self-harm, by the rule of the VBHSF paper as far as public data can follow it.

    Rows that people labelled (`prompt_label_source`), in the category "Suicide and Self Harm", without those of the
    Suicide Detection source, without duplicates; crisis is `prompt_label` `unsafe`, not crisis is `safe`. **The published
    794 cannot be made from public data**: the paper's clinicians relabelled 55 of them, and which is not public. Nor do
    its figures agree with the 397 and 397 it prints: they need 398 crisis and 396 not (docs/datasets.md).

    The label is for the prompt, but the categories may be there because of the response: a safe prompt with an unsafe
    response is in the category too. `categories` is `None`: one category of theirs covers two of ours, and an unsafe prompt
    may be so for another reason. Theirs stand in `labels["violated_categories"]`. No clinician gave these labels.

    Args:
        paths: the released files (`train.json`, `validation.json`, `test.json`, `refusals_*.json`), or JSON Lines or
            Parquet made of them. The first copy of a text is kept, so name the test split first if it matters.

    Returns:
        The messages in file order, and what each step left.

    Raises:
        InputError: a file that cannot be read, a field missing or with a value that the card does not know, an id twice,
            or nothing left; names file, row and field, never a text.
        ConfigurationError: Parquet without the `parquet` extra.
    """
    counts = dict.fromkeys(("rows", "human", "in_category", "distributed"), 0)
    kept: dict[str, tuple[Entry, str, str]] = {}
    contradicted: set[str] = set()
    files = [paths] if isinstance(paths, Path) else list(paths)
    for path in files:
        for entry in read_objects(path):
            reached = _reached(entry)
            for step in list(counts)[:reached]:
                counts[step] += 1
            if reached < len(counts):
                continue
            text, label = entry.text("prompt"), entry.one_of("prompt_label", "safe", "unsafe")
            key = fingerprint(text)
            if kept.setdefault(key, (entry, text, label))[2] != label:
                contradicted.add(key)
    names = ", ".join(str(path) for path in files)
    rows = unique((_gold(*found) for key, found in kept.items() if key not in contradicted), names)
    crisis = sum(row.crisis for row in rows)
    return rows, SubsetReport(
        **counts, unique=len(kept), contradicted=len(contradicted), crisis=crisis, not_crisis=len(rows) - crisis
    )


def _reached(entry: Entry) -> int:
    """How many of the first four steps a row passes; what is not used further is not looked at further."""
    if entry.value("prompt_label_source") != "human":
        return 1
    categories = "" if entry.value("violated_categories") is None else entry.text("violated_categories")
    if CATEGORY not in [name.strip().casefold().replace("-", " ") for name in categories.split(",")]:
        return 2
    redacted = (
        entry.fields.get("reconstruction_id_if_redacted") is not None or entry.text("prompt").strip() == _REDACTED
    )
    return 3 if redacted else 4


def _gold(entry: Entry, text: str, label: str) -> Gold:
    labels: dict[str, RawLabel] = {
        "prompt_label": label,
        "violated_categories": entry.text("violated_categories"),
        "prompt_label_source": "human",
    }
    for name in ("response_label", "response_label_source"):
        value = entry.fields.get(name)
        if value is not None and not isinstance(value, str):
            raise entry.wrong(name, f"holds {kind_of(value)} instead of a text or null")
        labels[name] = None if value is None else entry.text(name)
    return Gold(
        id=entry.text("id") or entry.source,
        text=text,
        crisis=label == "unsafe",
        categories=None if label == "unsafe" else (),
        source=f"{NAME} {entry.source}",
        labels=labels,
    )
