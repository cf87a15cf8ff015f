"""Draw docs/run.svg and docs/demo.svg: a real run over the sample messages and the tour of the demo, as a terminal shows them.

python -m bench.picture
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURES: tuple[tuple[str, int, tuple[str, ...], tuple[str, ...]], ...] = (
    ("run.svg", 118, ("classify", "data/samples-v1/messages.jsonl"), ()),
    ("demo.svg", 80, ("demo",), ("--once", "--port", "0")),
)
"""File, columns, what is typed, and what is added so that it ends by itself."""


def main() -> None:
    """Run the commands and write the pictures."""
    for name, width, typed, added in PICTURES:
        (ROOT / "docs" / name).write_text(picture(width, typed, added), encoding="utf-8")


def picture(width: int, typed: tuple[str, ...], added: tuple[str, ...]) -> str:
    """One command and what it prints, as SVG."""
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(width), "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "crisis_filter", *typed, *added],
        cwd=ROOT,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold"), " ".join(("crisis-filter", *typed))))
    console.print(Text.from_ansi(done.stdout))
    svg = console.export_svg(title="crisis-filter", clear=True)
    # Nothing is fetched when the picture is looked at: fonts come from the reader's machine.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main()
