"""The folder of a search: what it was begun with, every call, the candidates as prompt files, and what came of it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.calls import Calls
from crisis_filter.experiments.lines import held, write_whole
from crisis_filter.experiments.optimize.drafts import SeedFile
from crisis_filter.experiments.optimize.records import Result, Start
from crisis_filter.prompting.prompt import load_prompt

__all__ = ["BEST", "RESULT", "OptimizeFolder", "stored_result"]

_START, _LOCK, _CALLS = "optimize.json", ".lock", "calls.jsonl"
RESULT = "result.json"
BEST = "best"
"""Name of the winner's files: `.md`, `.examples.yaml`, `.diff`."""
_CANDIDATES = "candidates"


def stored_result(path: Path, max_calls: int) -> Result | None:
    """The result of a search that came to its end there with as many calls; `None` where there is none.

    Raises:
        InputError: it is damaged.
    """
    if not (path / RESULT).is_file():
        return None
    try:
        found = Result.model_validate_json((path / RESULT).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        raise InputError(f"{path / RESULT}: is not the result of a search; delete it, and it is made again") from None
    return found if found.whole and found.max_calls == max_calls else None


class OptimizeFolder:
    """An open folder. Use `begin`.

    Attributes:
        path: where it lies.
        calls: everything asked.
        replaying: whether it is finished, and nobody is asked.
    """

    def __init__(self, path: Path, lock: int, calls: Calls, *, replaying: bool) -> None:
        self.path = path
        self.calls = calls
        self.replaying = replaying
        self._lock = lock

    @classmethod
    def begin(cls, path: Path, start: Start, *, replaying: bool, reuse: bool = True) -> Self:
        """Open a folder, and make it when there is none.

        Args:
            path: the folder.
            start: what the search begins with.
            replaying: whether it is finished, and nobody is asked.
            reuse: whether replies that lie in the folders beside it are taken for the same questions; see `calls.skipped`.

        Raises:
            ConfigurationError: the folder is of another search, another process is at work in it, or it cannot be written.
            InputError: a file of it is damaged.
        """
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
        lock = held(path / _LOCK)
        try:
            _settle(path, start)
            near = path.parent.glob(f"*/{_CALLS}") if reuse and not replaying else ()
            beside = tuple(sorted(one for one in near if one.parent != path))
            return cls(path, lock, Calls(path / _CALLS, earlier=beside, replaying=replaying), replaying=replaying)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let others at the folder. Calling it twice does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        """The folder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def put(self, result: Result, seed: SeedFile, systems: Mapping[int, str], following: str | None) -> None:
        """Write candidates, winner and result; the result last, so that what it names is there.

        Args:
            result: what came of the search.
            seed: the prompt file it began with.
            systems: stable part of each candidate, by number.
            following: the plan of the experiment to run next; `None` where there is none.

        Raises:
            ConfigurationError: they cannot be written, or what was written does not load.
        """
        there = self.path / _CANDIDATES
        there.mkdir(exist_ok=True, mode=0o700)
        for candidate in result.candidates[1:]:
            name = f"{candidate.number:03}"
            _write_prompt(there / f"{name}.md", seed, systems[candidate.number])
            write_whole(there / f"{name}.diff", _difference(seed, systems[candidate.number]))
        if result.winner is not None:
            path = self.path / f"{BEST}.md"
            _write_prompt(path, seed, systems[result.winner])
            if load_prompt(str(path)) != seed.draft(systems[result.winner]):
                raise ConfigurationError(f"{path}: what was written is not what was judged")
            write_whole(self.path / f"{BEST}.diff", _difference(seed, systems[result.winner]))
        else:
            # Those of a shorter search, which a longer one has taken back.
            for suffix in (".md", ".examples.yaml", ".diff"):
                (self.path / f"{BEST}{suffix}").unlink(missing_ok=True)
        if following is not None:
            write_whole(self.path / "next.yaml", following)
        else:
            (self.path / "next.yaml").unlink(missing_ok=True)
        write_whole(self.path / RESULT, result.model_dump_json(indent=1) + "\n")


def _write_prompt(path: Path, seed: SeedFile, system: str) -> None:
    write_whole(path.with_suffix(".examples.yaml"), seed.examples)
    write_whole(path, seed.text(system))


def _difference(seed: SeedFile, system: str) -> str:
    lines = difflib.unified_diff(
        seed.prompt.system.splitlines(), system.splitlines(), seed.prompt.id, seed.id, lineterm="", n=2
    )
    return "".join(f"{line}\n" for line in lines)


def _settle(path: Path, wanted: Start) -> None:
    """Write down what the folder is of, or see that it is of that."""
    if not (path / _START).exists():
        if any(path.glob("*.json*")):
            raise ConfigurationError(f"{path}: holds files and no {_START}; name an empty or a new folder")
        write_whole(path / _START, wanted.model_dump_json(indent=1) + "\n")
        return
    try:
        found = Start.model_validate_json((path / _START).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        raise InputError(f"{path / _START}: is not the start of a search; restore it, or name a new folder") from None
    if found.sha256 != wanted.sha256:
        differs = next((name for name, value in found if getattr(wanted, name) != value and name != "sha256"), "sha256")
        raise ConfigurationError(
            f"{path}: was begun as another search: its {differs} differs. Name a new folder beside it, and its replies are taken over"
        )
    if found.version != wanted.version:
        raise ConfigurationError(
            f"{path}: was begun with version {found.version}, this is {wanted.version}; name a new folder beside it, and its replies are taken over"
        )
