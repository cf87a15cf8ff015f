"""Draw docs/run.svg: a real run over the sample messages, as a terminal shows it.

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
WIDTH = 118
COMMAND = ["crisis-filter", "classify", "data/samples-v1/messages.jsonl"]


def main() -> None:
    """Run the command and write the picture."""
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "crisis_filter", *COMMAND[1:]],
        cwd=ROOT,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold"), " ".join(COMMAND)))
    console.print(Text.from_ansi(done.stdout))
    svg = console.export_svg(title="crisis-filter", clear=True)
    # Nothing is fetched when the picture is looked at: fonts come from the reader's machine.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    (ROOT / "docs/run.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
