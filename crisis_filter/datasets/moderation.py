"""OpenAI's evaluation set for undesired content (`samples-1680.jsonl.gz` of openai/moderation-api-release).

Licence: MIT, by the card of a copy of it (https://huggingface.co/datasets/mmathys/openai-moderation-api-evaluation); the
repository's own licence file could not be read. None of it is shipped here; see docs/datasets.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from crisis_filter.datasets.gold import Gold, RawLabel, unique
from crisis_filter.datasets.objects import Entry, kind_of, read_objects
from crisis_filter.errors import InputError

NAME = "openai-moderation-2022"
LABELS = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")
"""sexual, hate, violence, harassment, self-harm, sexual/minors, hate/threatening, violence/graphic."""
CRISIS = ("SH",)
SET_ASIDE = ("V", "V2", "H2")


@dataclass(frozen=True, slots=True)
class LabelReport:
    """Where every row went: `rows` is the sum of the other counts, `unknown_by_label` aside."""

    rows: int
    crisis: int
    not_crisis: int
    set_aside: int
    """Rows with a label that may or may not be a crisis, and none that is."""
    unknown: int
    """Rows that lack a label which could make them a crisis, and have none that does."""
    unknown_by_label: Mapping[str, int]
    """Of the unknown rows, how many lack each deciding label."""

    def __str__(self) -> str:
        """One count a line."""
        lacking = ", ".join(f"{name} {count}" for name, count in sorted(self.unknown_by_label.items()))
        return "\n".join(
            (
                f"{self.rows:>6} rows",
                f"{self.crisis:>6} crisis",
                f"{self.not_crisis:>6} not crisis",
                f"{self.set_aside:>6} set aside: violence or threats, which these labels cannot tell from a crisis",
                f"{self.unknown:>6} left out: not labelled for what decides ({lacking or 'none'})",
            )
        )


def load_moderation(
    path: Path, *, crisis: Collection[str] = CRISIS, set_aside: Collection[str] = SET_ASIDE
) -> tuple[tuple[Gold, ...], LabelReport]:
    """The samples whose labels decide whether they are a crisis.

    A row with a label of `crisis` at 1 is a crisis. Of the others, one that lacks a label of `crisis` or of `set_aside` is
    unknown, one with a label of `set_aside` at 1 is set aside, and only what is left, 0 in all of these, is not crisis. A
    missing label says that nobody knows (the set's README); it is never taken for 0.

    The labels were made for moderation, not for this: `SH` is content that promotes, encourages or depicts self-harm,
    eating disorders among it, whoever wrote it and whether or not anybody is in danger. Violence (`V`, `V2`, `H2`) may be a
    threat of the writer's or praise of a war; that is why it is neither here. `S`, `H`, `HR` and `S3` decide nothing.
    `categories` is `None` for a crisis, because `SH` names no single category of ours. No clinician gave these labels.

    Args:
        path: the released `.jsonl.gz`, or the same unpacked.
        crisis: labels that make a row a crisis; at least one.
        set_aside: labels that leave open whether it is one.

    Returns:
        The messages in file order with ids `STEM:LINE`, and where every row went.

    Raises:
        InputError: a file that cannot be read, a label that is not 0, 1 or missing, no text, a label in `crisis` or
            `set_aside` that the set does not have or that is in both, or nothing left.
        ConfigurationError: Parquet without the `parquet` extra.
    """
    deciding = _deciding(crisis, set_aside)
    counts: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    rows = []
    for entry in read_objects(path):
        flags = {name: _flag(entry, name) for name in LABELS}
        text = entry.text("prompt")
        missing = [name for name in deciding if flags[name] is None]
        if any(flags[name] for name in crisis):
            fate = "crisis"
        elif missing:
            fate = "unknown"
            lacking.update(missing)
        else:
            fate = "set_aside" if any(flags[name] for name in set_aside) else "not_crisis"
        counts[fate] += 1
        if fate in ("crisis", "not_crisis"):
            rows.append(_gold(entry, text, flags, fate == "crisis"))
    report = LabelReport(
        rows=counts.total(),
        crisis=counts["crisis"],
        not_crisis=counts["not_crisis"],
        set_aside=counts["set_aside"],
        unknown=counts["unknown"],
        unknown_by_label=dict(lacking),
    )
    return unique(rows, str(path)), report


def _deciding(crisis: Collection[str], set_aside: Collection[str]) -> list[str]:
    deciding = [*crisis, *set_aside]
    if not crisis or len(set(deciding)) != len(deciding) or not set(deciding) <= set(LABELS):
        raise InputError(
            f"crisis and set_aside take different labels of {', '.join(LABELS)}, and crisis at least one of them"
        )
    return deciding


def _flag(entry: Entry, name: str) -> int | None:
    value = entry.fields.get(name)
    if value is None:
        return None
    # A table that had gaps gives 0.0 and 1.0 back; true and false are of no version of this set.
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, 1):
        what = "a number" if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)
        raise entry.wrong(name, f"holds {what} that is not 0 or 1" if what == "a number" else f"holds {what}")
    return int(value)


def _gold(entry: Entry, text: str, flags: Mapping[str, int | None], crisis: bool) -> Gold:
    stem, number = Path(entry.file).name.split(".")[0], entry.number
    labels: dict[str, RawLabel] = dict(flags)
    return Gold(
        id=f"{stem}:{number}",
        text=text,
        crisis=crisis,
        categories=None if crisis else (),
        source=f"{NAME} {entry.source}",
        labels=labels,
    )
