"""The folder of a run: who was asked what, and what came of it, a line each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from crisis_filter.backends.base import Finish
from crisis_filter.errors import ConfigurationError, Fault, InputError
from crisis_filter.experiments.lines import Lines, held, write_whole
from crisis_filter.schema import PromptRef, Record, Severity, Subject, Timeframe

__all__ = ["Answered", "Journal", "Labels", "RatingLine", "Ruling", "State", "Text", "Trouble", "Who", "Wrote"]

Who = Literal["author", "rater_a", "rater_b", "adjudicator"]
_STATE, _LOCK = "state.json", ".lock"


class State(Record):
    """What a folder was begun with; never changes."""

    format: Literal[1] = 1
    recipe: str
    recipe_sha256: str
    work_sha256: str
    """Over recipe, prompts, taxonomy and the messages to stay away from."""
    prompts: tuple[PromptRef, ...]
    taxonomy: PromptRef
    judges: dict[str, str]
    """Names of the backends of `rater_a`, `rater_b` and `adjudicator`."""
    salt: str = Field(repr=False)
    """Random; ids of messages are made with it, so that they say nothing."""
    version: str
    """Of this package."""


class Answered(Record):
    """What every complete answer has."""

    backend: str
    model: str | None
    """What the server says it is."""
    prompt: PromptRef
    attempts: int
    """Requests sent for it, re-asks included."""
    prompt_tokens: int
    completion_tokens: int


class Text(Record):
    """One message as the author wrote it."""

    slot: int
    text: str = Field(repr=False)


class Wrote(Answered):
    """A batch that the author answered."""

    key: str
    slots: tuple[int, ...]
    """What was asked for."""
    texts: tuple[Text, ...]
    declined: tuple[int, ...]


class Labels(Record):
    """What somebody says of one message."""

    crisis: bool
    categories: tuple[str, ...]
    severity: Severity | None
    subject: Subject | None
    timeframe: Timeframe | None
    reasoning: str = Field(repr=False)


class RatingLine(Labels, Answered):
    """What one rater says of one message; `crisis-filter data agreement` reads these lines."""

    id: str
    rater: Literal["A", "B"]
    sure: bool
    """Whether careful colleagues would agree about crisis and categories."""
    author: str
    """Of the message; messages of one author are one cluster."""


class Ruling(Labels, Answered):
    """What was decided between two ratings."""

    id: str
    contested: bool


class Trouble(Record):
    """A request without a complete answer."""

    who: Who
    key: str
    """Of the batch, or id of the message."""
    finish: Finish | Literal["none"]
    """`none`: no reply came back."""
    fault: Fault
    replied: bool
    """Whether it counts as one of the tries. What no reply came to is asked again when the run is started again."""
    backend: str
    attempts: int


class Journal:
    """An open folder. Use `begin`.

    Attributes:
        state: what it was begun with.
        wrote: answered batches.
        ratings: by rater.
        rulings: of the adjudicator.
        troubles: of everybody.
    """

    def __init__(self, folder: Path, state: State, lock: int) -> None:
        self.folder = folder
        self.state = state
        self._lock = lock
        self.wrote = Lines(folder / "candidates.jsonl", Wrote)
        self.ratings: Mapping[Who, Lines[RatingLine]] = {
            "rater_a": Lines(folder / "ratings-a.jsonl", RatingLine),
            "rater_b": Lines(folder / "ratings-b.jsonl", RatingLine),
        }
        self.rulings = Lines(folder / "adjudications.jsonl", Ruling)
        self.troubles = Lines(folder / "faults.jsonl", Trouble)

    @classmethod
    def begin(cls, folder: Path, state: State) -> Self:
        """Open a folder for a run, and make it when there is none.

        Args:
            folder: of one run.
            state: what the run is to be; its salt counts only for a new folder.

        Raises:
            ConfigurationError: the folder belongs to another recipe, other prompts or other raters, another process is at work in
                it, or it cannot be written.
            InputError: a file of it is damaged.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(f"{folder}: cannot be written: {error.strerror}") from None
        lock = held(folder / _LOCK)
        try:
            return cls(folder, _settle(folder, state), lock)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let others at the folder. Calling it twice does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def tries(self, who: Who) -> Counter[str]:
        """How often each batch or message got a reply that was no answer."""
        return Counter(one.key for one in self.troubles.records if one.who == who and one.replied)


def _settle(folder: Path, wanted: State) -> State:
    """The state of the folder, once it is known to be of the same work."""
    path = folder / _STATE
    if not path.exists():
        if any(folder.glob("*.jsonl")):
            raise ConfigurationError(f"{folder}: holds files and no {_STATE}; name an empty or a new folder")
        write_whole(path, wanted.model_dump_json(indent=2) + "\n")
        return wanted
    try:
        found = State.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        raise InputError(f"{path}: is not the state of a run; restore it, or name a new folder") from None
    if found.work_sha256 != wanted.work_sha256:
        raise ConfigurationError(
            f"{folder}: was begun with recipe {found.recipe} and prompts of hash {found.work_sha256}; what is given now has "
            f"{wanted.work_sha256}. Go on with the old ones, or name a new folder"
        )
    if found.judges != wanted.judges:
        names = ", ".join(f"{who} {name}" for who, name in found.judges.items())
        raise ConfigurationError(f"{folder}: was begun with {names}. One rater is one model: name the same ones")
    return found
