"""Plant one fault at a time in a copy of the package and see how soon its target finds it: `python -m tests.fuzz.planted`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.run import say

ROOT = Path(__file__).parents[2]
COPIED = ("crisis_filter", "categories", "policies", "prompts", "data/attacks-v1", "data/drill-v1", "tests/fuzz")
RUNS = 400_000
"""Many times what any of the faults took."""
LONGEST_S = 300


@dataclass(frozen=True, slots=True)
class Planted:
    """A change of the package that the laws of a target forbid."""

    target: str
    what: str
    module: str
    """Below `crisis_filter/`."""
    before: str
    """Stands once in the module."""
    after: str


PLANTED = (
    Planted(
        "answers",
        "an answer without an end is taken",
        "backends/completion.py",
        'if ends != ["stop"]:',
        'if ends != ["stop"] and ends != [None]:',
    ),
    Planted(
        "answers",
        "escaped letters of the label are not read",
        "backends/parse.py",
        '_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else " ", text)',
        "text",
    ),
    Planted(
        "answers",
        "a key may be repeated",
        "backends/parse.py",
        '        if key in seen:\n            raise ValueError("repeated key")\n',
        "",
    ),
    Planted(
        "answers",
        "one letter of the nonce is enough",
        "backends/parse.py",
        'if getattr(answer, "nonce", None) != request.nonce:',
        'if getattr(answer, "nonce", "")[:1] not in ("", request.nonce[:1]):',
    ),
    Planted(
        "answers",
        "arguments of tool calls are dropped",
        "backends/completion.py",
        "        *(arguments for message in messages for arguments in _arguments(message)),\n",
        "",
    ),
    Planted(
        "answers",
        "a number too large for a float raises",
        "backends/logprobs.py",
        "math.exp(max(logprob, _IMPOSSIBLE))",
        "math.exp(logprob)",
    ),
    Planted(
        "texts",
        "a piece skips the letter before a line end",
        "text/chunks.py",
        "start = end - overlap",
        'start = end - overlap + (text[end] == "\\n")',
    ),
    Planted(
        "texts",
        "the last letter of a long word is lost",
        "text/views.py",
        "places.extend(range(start, end))\n        self.take",
        "places.extend(range(start, end - (end - start > 9)))\n        text = text[: len(places)]\n        self.take",
    ),
    Planted("texts", "one surrogate is not mended", "text/views.py", r"[\ud800-\udfff]", r"[\ud800-\udffe]"),
    Planted(
        "texts",
        "the raw view of a disguised text of five letters is lost",
        "text/views.py",
        'found = [raw, draft.view("normalised")] if',
        'found = [raw, draft.view("normalised")][len(text) == 5 :] if',
    ),
    Planted(
        "texts",
        "a pattern takes exponential time",
        "text/views.py",
        '    return regex.sub(r"[\\ud800',
        '    __import__("re").match(r"(?:\\W|[^\\w])*x", text)\n    return regex.sub(r"[\\ud800',
    ),
    Planted(
        "waits",
        "no milliseconds become one",
        "backends/http_faults.py",
        "milliseconds / 1000 if milliseconds is not None",
        "(milliseconds or 1) / 1000 if milliseconds is not None",
    ),
    Planted(
        "waits",
        "a date out of range raises",
        "backends/http_faults.py",
        "except (ValueError, TypeError, OverflowError)",
        "except (ValueError, TypeError)",
    ),
    Planted(
        "waits",
        "a minute more than a week is waited",
        "backends/http_faults.py",
        "<= _LONGEST_RETRY_AFTER_S)",
        "<= _LONGEST_RETRY_AFTER_S + 60)",
    ),
)


def executions_until_found(fault: Planted, folder: Path) -> int | None:
    """Fuzz a copy that holds the fault.

    Args:
        fault: what to plant.
        folder: an empty one, for the copy.

    Returns:
        Executions up to the one that broke a law, or `None` when `RUNS` broke none.

    Raises:
        ValueError: the text to change does not stand once in the module, or the fuzzer did not run.
    """
    for part in COPIED:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    module = folder / "crisis_filter" / fault.module
    source = module.read_text(encoding="utf-8")
    if source.count(fault.before) != 1:
        raise ValueError(f"{fault.module} has changed: plant {fault.what!r} anew")
    module.write_text(source.replace(fault.before, fault.after), encoding="utf-8")
    command = [sys.executable, "-m", "tests.fuzz.run", fault.target, "--runs", str(RUNS), "--found", "found"]
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=LONGEST_S, check=False
    )
    executed = re.search(r"^stat::number_of_executed_units: (\d+)$", ended.stdout + ended.stderr, re.MULTILINE)
    if executed is None:
        raise ValueError(f"the fuzzer did not run: {ended.stderr[-1000:]}")
    return int(executed[1]) if ended.returncode else None


def main() -> None:
    """Print a line for each fault."""
    for fault in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            found = executions_until_found(fault, Path(folder))
        say(f"{fault.target:8} {'NOT FOUND' if found is None else found:>9}  {fault.what}")


if __name__ == "__main__":
    main()
