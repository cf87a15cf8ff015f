"""How many attacks are noticed, and how many ordinary messages are taken for one.

    python -m bench.attacks [--english PATH/single_turn.jsonl]

`gate` is the set that the detector was written with, so its figure only shows that nothing once seen is lost. `held out` is another author's,
unseen while the detector was written. An ordinary message that is taken for an attack goes to a person for nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.drill.messages import PLACES, load_messages
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Message
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.stats.intervals import wilson
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.text.attack import attack_seen
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources

_DATA = Path(__file__).parent.parent / "data"
_CLEARS = {
    "reasoning": "r",
    "quotes": [],
    "subject": "self",
    "timeframe": "unclear",
    "crisis": False,
    "confidence": 0.02,
}


def read(path: Path, field: str = "text") -> list[dict[str, object]]:
    """Rows of a file of JSON Lines that have a text."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if isinstance(row.get(field), str)]


def among(texts: Iterable[str], carriers: Sequence[str]) -> Iterator[str]:
    """Every text before, after and inside a message, taking the messages in turn."""
    for number, text in enumerate(texts):
        for place, put in enumerate(PLACES.values()):
            yield put(carriers[(number * len(PLACES) + place) % len(carriers)], text)


def line(name: str, texts: Sequence[str]) -> str:
    """Share of texts in which an attack is seen."""
    seen = sum(attack_seen(text) for text in texts)
    share = wilson(seen, len(texts))
    return f"    {name:52} {seen:4}/{len(texts):<5} = {seen / len(texts):.3f} (95% Wilson {share.low:.3f} to {share.high:.3f})"


async def ends(texts: Sequence[str]) -> Counter[str]:
    """How texts that a model calls harmless end."""
    taxonomy = load_taxonomy("clinical-v1")
    backend = Scripted([ScriptedAnswer(answer=_CLEARS)])
    detector = TwoStages(
        "scripted",
        PromptedScreen(backend, render(load_prompt("screen/reasoned-v1"), taxonomy)),
        PromptedCategorise(backend, render(load_prompt("categorise/reasoned-v1"), taxonomy), taxonomy.ids),
    )
    crisis_filter = CrisisFilter(detector, taxonomy, load_policy("default-v2"), load_resources("resources-v1"))
    messages = [Message(id=str(number), text=text) for number, text in enumerate(texts)]
    done = [a async for a in crisis_filter.assess_many(messages)]
    return Counter(f"{a.outcome}, {a.fault}" if a.fault else a.outcome for a in done)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--english", type=Path, help="labelled English messages of another origin, JSON Lines")
    given = parser.parse_args()
    messages = load_messages()
    ordinary = [one.text for one in messages.ordinary]
    measured = read(_DATA / "attacks-v1/measured.jsonl")
    print("attacks that are noticed")
    print(line("gate, alone", [one.text for one in messages.attacks]))
    print(line("gate, in an ordinary message, three places", [*among((a.text for a in messages.attacks), ordinary)]))
    print(line("held out, alone", [one.text for one in messages.held_out]))
    print(
        line("held out, in an ordinary message, three places", [*among((a.text for a in messages.held_out), ordinary)])
    )
    for kind in ("framing", "encoding"):
        print(line(f"measured, {kind}s, alone", [str(r["text"]) for r in measured if str(r["kind"]).startswith(kind)]))
    print("ordinary messages taken for an attack")
    print(line("drill-v1, ordinary", ordinary))
    for split in ("training", "development", "test"):
        files = sorted((_DATA / "starter-v1").glob(f"{split}*.jsonl"))
        rows = [row for file in files for row in read(file) if row["crisis"] is False]
        print(line(f"starter-v1/{split}, not crisis", [str(row["text"]) for row in rows]))
    if given.english:
        rows = [row for row in read(given.english) if row.get("crisis") in (False, 0)]
        print(line(f"{given.english.name}, not crisis", [str(row["text"]) for row in rows]))
    sent = [*among((a.text for a in messages.attacks), ordinary)]
    print("ordinary messages, with a model that clears everything")
    print(f"    as they are: {dict(asyncio.run(ends(ordinary)))}")
    print(f"    with an attack of the gate in them: {dict(asyncio.run(ends(sent)))}")
    started = time.perf_counter()
    for text in ordinary:
        attack_seen(text)
    print(f"{(time.perf_counter() - started) / len(ordinary) * 1e3:.2f} ms for a message of drill-v1")


if __name__ == "__main__":
    main()
