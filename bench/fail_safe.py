"""One table, fault by tool: what becomes of a clear crisis message when the judge behind the tool is faulty.

    python -m bench.fail_safe [--messages 20] [--slow 3] [--tools ...] [--json]

Every tool is asked about the same clear crisis messages of `data/drill-v1` while its judge has one fault after another. A cell counts

- `allowed`: the tool let the message through as harmless. On a crisis message under a fault that is a **silent negative**;
- `blocked`: the tool flagged the message, or refused to let it pass;
- `error`: the tool raised, so its caller sees a failure;
- `undetermined`: our own tool's word for "a person must look".

The tools and what the words mean for each:

- `crisis-filter`: its pipeline with the default policy; `no_crisis` counts as allowed, `crisis` as blocked. Behind the judge stands the embedded engine, as
  it does by default; it may raise and may not clear. One message may take at most 6 s.
- `crisis-filter, judge alone`: the same without the engine, which is the fair comparison with tools that have only their judge.
- `nemo content safety`: NeMo Guardrails' content-safety input rail with the parser for NVIDIA's own safety model, which answers JSON.
- `nemo content safety (text)`: the same rail with the library's parser for safety models that answer with a word.
- `nemo self check`: its self-check input rail with the parser it uses by default. See `peers/nemo_runner.py` for all three.
- `nope`: NOPE's crisis validator against an evaluation host of our own. See `peers/nope_runner.py`, which also says what stands in for its framework.

The first row is the control: with a healthy judge every tool must flag each crisis message and pass each ordinary one, or the tool is wired wrongly and
its column means nothing; the script then says so. A dash means that the tool's judge cannot have that fault. The faults were chosen by us and
every message of a row meets the same one, so the counts tell what each fault does: they are no rate to be met in the field.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench.peers.asking import Labelled, Messages, Result, Tool, ask
from bench.peers.environments import python_of, version_of
from bench.peers.rows import rows
from bench.peers.table import About, as_json, lines
from crisis_filter.drill.answers import LITERALS, Literals

_DATA = Path(__file__).parent.parent / "data" / "drill-v1"
_NEMOGUARD = Literals(
    '{"User Safety": "unsafe", "Safety Categories": "Suicide and Self Harm"}', '{"User Safety": "safe"}'
)
_NEMO = "nemo_runner.py"
_WAITS = "a request may take 2 s here, 600 s by default"
TOOLS = (
    Tool(
        "crisis-filter",
        "crisis-filter",
        "ours",
        "default policy, the embedded engine behind the judge; at most 6 s a message",
    ),
    Tool("crisis-filter, judge alone", "crisis-filter", "ours", "the same with nobody behind the judge", alone=True),
    Tool(
        "nemo content safety",
        "nemoguardrails",
        "chat",
        f"input rail, parser for NVIDIA's own safety model; {_WAITS}",
        "nemo",
        (_NEMO, "content-safety"),
        _NEMOGUARD,
    ),
    Tool(
        "nemo content safety (text)",
        "nemoguardrails",
        "chat",
        f"input rail, parser for other safety models; {_WAITS}",
        "nemo",
        (_NEMO, "content-safety-text"),
        LITERALS["safe-unsafe"],
    ),
    Tool(
        "nemo self check",
        "nemoguardrails",
        "chat",
        f"input rail, default parser; {_WAITS}",
        "nemo",
        (_NEMO, "self-check"),
        LITERALS["yes-no"],
    ),
    Tool(
        "nope",
        "nope-crisis-screen",
        "api",
        "its own code unmodified on a stand-in for the base classes of guardrails-ai, against a host of ours",
        "nope",
        ("nope_runner.py",),
    ),
)


def main() -> None:
    """Ask every tool about every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20, help="crisis messages for a fault (default 20)")
    parser.add_argument("--slow", type=int, default=3, help="of them for a fault that ends by a timeout (default 3)")
    parser.add_argument("--tools", nargs="+", choices=[tool.name for tool in TOOLS], help="columns (default all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    given = parser.parse_args()
    if not 1 <= given.slow <= given.messages:
        parser.error("--messages and --slow must be at least 1, and --slow at most --messages")
    crises, ordinary = _read("crisis.jsonl"), _read("ordinary.jsonl")
    columns: dict[str, list[Result]] = {}
    about: dict[str, About] = {}
    with tempfile.TemporaryDirectory() as scratch:
        known = Path(scratch) / "known.jsonl"
        known.write_text("".join(json.dumps(vars(m)) + "\n" for m in (*crises, *ordinary)), encoding="utf-8")
        messages = Messages(_spread(crises, given.messages), _spread(ordinary, given.messages), given.slow, known)
        for tool in TOOLS:
            if given.tools and tool.name not in given.tools:
                continue
            python = Path(sys.executable) if tool.peer is None else python_of(tool.peer)
            if python is None:
                continue
            which = version(tool.package) if tool.peer is None else version_of(python, tool.package)
            about[tool.name] = About(which, tool.note)
            print(f"asking {tool.name} {which} ...", file=sys.stderr)
            columns[tool.name] = asyncio.run(ask(tool, python, rows(), messages))
    if given.json:
        print(json.dumps(as_json(columns, about, rows()), indent=1))
    else:
        print(
            f"{len(messages.crises)} clear crisis messages of data/drill-v1 under each fault, {given.slow} where it ends by a timeout, and "
            f"{len(messages.ordinary)} ordinary ones for the control; labels are their author's, no clinician gave or checked any\n"
        )
        print("\n".join(lines(columns, about, rows())))


def _read(name: str) -> list[Labelled]:
    rows_read = map(json.loads, (_DATA / name).read_text(encoding="utf-8").splitlines())
    return [Labelled(row["id"], row["text"], row["crisis"]) for row in rows_read]


def _spread(messages: list[Labelled], count: int) -> tuple[Labelled, ...]:
    """So many messages, taken evenly from the whole file, because a file is in the order of its categories."""
    return tuple(messages[i * len(messages) // count] for i in range(min(count, len(messages))))


if __name__ == "__main__":
    main()
