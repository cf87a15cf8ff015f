"""The program as a careless host runs it: every logger at DEBUG with every field, warnings on, asyncio in its debug mode.

`python -m tests.careless FOLDER ARGUMENTS...` runs `crisis-filter ARGUMENTS...`. Every message of a drill and every reason that its
model gives carry a canary. The log is in FOLDER/log; FOLDER/facts tells, in JSON, how often the canary was sent to a model of the drill,
and which files were opened for writing. When FOLDER holds a file `leak`, a text is put into every place where nobody may find one.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from crisis_filter.cli import main
from crisis_filter.drill import answers, messages, scene
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.messages import DrillMessages, Labelled, load_messages

TEXT, ANSWER = "canary7731", "heron5520"
RowT = TypeVar("RowT", bound=Labelled)

_opened: set[str] = set()
_sent = 0


class Careless(logging.FileHandler):
    """Writes every field of every record."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record) + repr(vars(record))


def _watch(event: str, given: tuple[Any, ...]) -> None:
    """An audit hook: what is opened for writing, even if it is gone at the end."""
    if event == "open" and isinstance(given[0], str | bytes) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _opened.add(os.fsdecode(given[0]))


def _marked(rows: Iterable[Labelled], count: int) -> tuple[Labelled, ...]:
    return tuple(row.model_copy(update={"text": f"{TEXT} {row.text}"}) for row in list(rows)[:count])


def _few() -> DrillMessages:
    """Some messages of the drill, each with the canary."""
    whole = load_messages()
    return DrillMessages(
        _marked(whole.crises, 4), _marked(whole.ordinary, 2), whole.attacks[::20], whole.held_out[::20]
    )


def _reasoned(asked: Asked, *, crisis: bool) -> dict[str, Any]:
    global _sent
    _sent += TEXT in asked.message
    fields = answers.verdict_fields(asked, crisis=crisis)
    return {name: f"{ANSWER} says so" if name == "reasoning" else value for name, value in fields.items()}


def _leak() -> None:
    text = f"{TEXT} i want to die"
    logging.getLogger("host").debug("judged", extra={"body": text})
    sys.stderr.write(text + "\n")
    warnings.warn(text, stacklevel=1)
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    with tempfile.TemporaryDirectory() as gone:
        (Path(gone) / "cache").write_text(text)


def run(folder: Path) -> None:
    """Run the program with what is left of the command line."""
    faulthandler.enable()
    warnings.simplefilter("always")
    logging.basicConfig(level=logging.DEBUG, handlers=[Careless(folder / "log", encoding="utf-8")])
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    setattr(messages, "load_messages", _few)  # noqa: B010  # the command looks it up there
    setattr(scene, "verdict_fields", _reasoned)  # noqa: B010  # the fault server does
    sys.addaudithook(_watch)
    if (folder / "leak").exists():
        _leak()
    try:
        main()
    finally:
        (folder / "facts").write_text(json.dumps({"sent": _sent, "opened": sorted(_opened)}), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Left:
    """What a run left behind."""

    status: int
    out: str
    err: str
    sent: int
    opened: tuple[str, ...]
    logged: int
    """Bytes of the log."""
    told: frozenset[str]
    """Where a canary was found: `out`, `err`, or a path in the folder."""


def left_by(folder: Path, *arguments: str, debug: bool = False) -> Left:
    """Run this in a process of its own with a folder for all its files, and look for canaries in all that it leaves."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    env = {**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"}
    env |= {"PYTHONASYNCIODEBUG": "1"} if debug else {}
    command = [sys.executable, "-m", "tests.careless", str(folder), *arguments]
    ran = subprocess.run(command, capture_output=True, env=env, text=True, timeout=900, check=False)
    facts = json.loads((folder / "facts").read_text(encoding="utf-8"))
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = {name: content.decode(errors="replace") for name, content in files.items()}
    found |= {"out": ran.stdout, "err": ran.stderr}
    told = frozenset(name for name, content in found.items() if TEXT in content or ANSWER in content)
    opened = tuple(path for path in facts["opened"] if path != os.devnull)
    return Left(ran.returncode, ran.stdout, ran.stderr, facts["sent"], opened, len(files["log"]), told)


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    run(place)
