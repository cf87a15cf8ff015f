"""Sword Health's MindGuard test set: turns of conversations, each labelled by clinicians in the light of the turns before it.

Licence: CC BY-NC-SA 4.0, so no commercial use (https://huggingface.co/datasets/swordhealth/MindGuard-testset; the licence
was read on the card of a copy of it). None of it is shipped here; see docs/datasets.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from crisis_filter.datasets.gold import Gold, RawLabel, unique
from crisis_filter.datasets.objects import Entry, kind_of, read_objects
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import InputError
from crisis_filter.tables.rows import repaired_text

NAME = "mindguard-testset"
CONVERSATIONS = 67
"""As published, of 1,134 turns; 42 turns in 17 conversations are a crisis (20 risk to oneself, 22 to others)."""
LABELS: Mapping[str, str | None] = MappingProxyType(
    {"safe": None, "unsafe_self_harm_risk": "self_harm_risk", "unsafe_harm_to_others": "harm_to_others"}
)
"""Their labels, and the category of `mindguard-v1` that each names: S1 is `self_harm_risk`, S2 is `harm_to_others`."""
_ROLES = ("user", "assistant", "system")


@dataclass(frozen=True, slots=True)
class TurnsReport:
    """What was read, to hold against what is published."""

    turns: int
    conversations: int
    crisis_turns: int
    crisis_conversations: int
    """With at least one such turn."""
    categories: Mapping[str, int]
    """Turns in each category."""
    no_majority: int
    """Turns on which no label has more than half of the annotators."""
    against_majority: int
    """Turns whose label is not that of the majority."""
    empty: int
    """Turns without a visible character; they are kept."""
    gaps: int
    """Turns of the user that are in a later prompt of their conversation and have no row of their own."""

    def __str__(self) -> str:
        """One count a line."""
        named = ", ".join(f"{count} {name}" for name, count in sorted(self.categories.items()))
        return "\n".join(
            (
                f"{self.turns:>6} turns in {self.conversations} conversations",
                f"{self.crisis_turns:>6} crisis turns ({named or 'none'}) in {self.crisis_conversations} conversations",
                f"{self.no_majority:>6} turns without a majority of annotators, {self.against_majority} labelled against it",
                f"{self.empty:>6} empty turns, {self.gaps} turns without a row",
            )
        )


@dataclass(frozen=True, slots=True)
class _Turn:
    """One row: its conversation up to here, and its labels."""

    entry: Entry
    said: tuple[str, ...] = field(repr=False)
    speakers: tuple[str, ...]
    label: str
    annotators: Mapping[str, str | None]
    prefixes: tuple[bytes, ...] = field(repr=False)
    """A digest of the first 1, 2, ... messages."""

    @property
    def number(self) -> int:
        """Which of the user's turns it is, from 1."""
        return self.speakers.count("user")


def load_mindguard(
    paths: Path | Sequence[Path], *, expected: int | None = CONVERSATIONS, labels: Mapping[str, str | None] = LABELS
) -> tuple[tuple[Gold, ...], TurnsReport]:
    """The labelled turns, with their conversations rebuilt.

    The set has no id of a conversation. A row goes on with the conversation whose last row's `prompt` is the longest
    prefix of its own; of several such (many begin with the same greeting) with the nearest before it in the file. A
    row that no other is a prefix of begins a conversation, and so does a copy of a row that follows on none directly.

    Args:
        paths: the released Parquet file of the split `test`, or JSON Lines made of it.
        expected: how many conversations must result; `None` switches the check off.
        labels: each label of the set, and the category it stands for; `None` for not crisis.

    Returns:
        The turns in file order, and the counts. `text` is the turn, `context` all that was said before it, `turn` counts
        the user's messages of the prompt. `labels` has `label`, the annotators' own, and `majority`, which is computed:
        the label of more than half of them, or `None`. `crisis` and `categories` follow `label`.

    Raises:
        InputError: another number of conversations than expected; a file that cannot be read; a row without one of the
            fields, with an unknown label or role, or whose prompt does not end with its `user_message`.
        ConfigurationError: Parquet without the `parquet` extra.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    turns = [_turn(entry, labels) for path in files for entry in read_objects(path)]
    groups = _chained(turns)
    found = len(set(groups))
    names = ", ".join(str(path) for path in files)
    if expected is not None and found != expected:
        raise InputError(
            f"{names}: field 'prompt' chains to {found} conversations and not to {expected}; take the whole split as "
            "released, or say expected=None if it is meant to be another"
        )
    width = len(str(found))
    chained = zip(turns, groups, strict=True)
    rows = unique((_gold(turn, f"{NAME}-{group + 1:0{width}}", labels) for turn, group in chained), names)
    return rows, _report(rows)


def _turn(entry: Entry, labels: Mapping[str, str | None]) -> _Turn:
    said, speakers = _conversation(entry)
    if speakers[-1] != "user" or fingerprint(said[-1]) != fingerprint(entry.text("user_message")):
        raise entry.wrong("prompt", "does not end with the user's message of the field 'user_message'")
    digest = hashlib.blake2b(digest_size=16)
    prefixes = []
    for speaker, text in zip(speakers, said, strict=True):
        raw = text.encode()
        digest.update(f"{speaker} {len(raw)} ".encode() + raw)
        prefixes.append(digest.digest())
    label = entry.one_of("label", *labels)
    return _Turn(entry, said, speakers, label, _annotators(entry, labels), tuple(prefixes))


def _conversation(entry: Entry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    messages = entry.value("prompt")
    if not isinstance(messages, list) or not messages:
        raise entry.wrong("prompt", f"holds {kind_of(messages)} instead of an array of messages")
    said, speakers = [], []
    for message in messages:
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if role not in _ROLES or not isinstance(content, str):
            raise entry.wrong("prompt", f"holds a message without a content or a role of {', '.join(_ROLES)}")
        said.append(repaired_text(content)[0])
        speakers.append(role)
    return tuple(said), tuple(speakers)


def _annotators(entry: Entry, labels: Mapping[str, str | None]) -> dict[str, str | None]:
    given = entry.value("annotator_labels")
    if not isinstance(given, dict):
        raise entry.wrong("annotator_labels", f"holds {kind_of(given)} instead of an object")
    if any(label is not None and not (isinstance(label, str) and label in labels) for label in given.values()):
        raise entry.wrong("annotator_labels", f"holds a label that is none of {', '.join(labels)}")
    return {repaired_text(name)[0]: label for name, label in given.items()}


def _majority(annotators: Mapping[str, str | None]) -> str | None:
    given = Counter(label for label in annotators.values() if label is not None)
    label, count = given.most_common(1)[0] if given else (None, 0)
    return label if count * 2 > given.total() else None


def _chained(turns: Sequence[_Turn]) -> list[int]:
    """For each turn the number of its conversation, from 0 in the order in which they begin in the file."""
    tips: defaultdict[bytes, list[int]] = defaultdict(list)
    start: dict[int, int] = {}
    met: set[bytes] = set()
    for place in sorted(range(len(turns)), key=lambda at: (len(turns[at].prefixes), at)):
        turn = turns[place]
        before = next((tips[prefix] for prefix in turn.prefixes[-2::-1] if tips.get(prefix)), [])
        whole = turn.prefixes[-1]
        # A copy of a row would otherwise go on with any conversation that began alike and said no more.
        if before and (whole not in met or turns[before[0]].number + 1 == turn.number):
            # All of these have said the same so far; the file has the turns of one conversation together.
            last = max(before, key=lambda at: (at < place, at if at < place else -at))
            before.remove(last)
            start[place] = start[last]
        else:
            start[place] = place
        met.add(whole)
        tips[whole].append(place)
    first: dict[int, int] = {}
    for place in range(len(turns)):
        first.setdefault(start[place], len(first))
    return [first[start[place]] for place in range(len(turns))]


def _gold(turn: _Turn, conversation: str, labels: Mapping[str, str | None]) -> Gold:
    category = labels[turn.label]
    raw: dict[str, RawLabel] = {**turn.annotators, "label": turn.label, "majority": _majority(turn.annotators)}
    return Gold(
        id=f"{conversation}:{turn.number}",
        text=turn.said[-1],
        crisis=category is not None,
        categories=() if category is None else (category,),
        conversation=conversation,
        turn=turn.number,
        context=turn.said[:-1],
        speakers=turn.speakers[:-1],
        source=f"{NAME} {turn.entry.source}",
        labels=raw,
    )


def _report(rows: Sequence[Gold]) -> TurnsReport:
    crisis = [row for row in rows if row.crisis]
    last: dict[str | None, int] = {}
    for row in rows:
        last[row.conversation] = max(last.get(row.conversation, 0), row.turn or 0)
    majorities = [(row.labels["label"], row.labels["majority"]) for row in rows]
    return TurnsReport(
        turns=len(rows),
        conversations=len({row.conversation for row in rows}),
        crisis_turns=len(crisis),
        crisis_conversations=len({row.conversation for row in crisis}),
        categories=dict(Counter(category for row in crisis for category in row.categories or ())),
        no_majority=sum(majority is None for _, majority in majorities),
        against_majority=sum(majority not in (None, label) for label, majority in majorities),
        empty=sum(not row.text.strip() for row in rows),
        gaps=sum(last.values()) - len(rows),
    )
