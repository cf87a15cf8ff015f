"""Measure the released prompts with other readers: anything or anybody that can read a prompt and write JSON.

    python -m bench.readers ask MESSAGES.jsonl KIT      # writes what has no answer yet into KIT/
    ... readers answer KIT/<stage>.requests.txt after KIT/<stage>.prompt.txt, one JSON object a line ...
    python -m bench.readers take KIT ANSWERS.jsonl      # adds the answers to KIT/recording.jsonl
    python -m bench.readers score MESSAGES.jsonl KIT    # replays the recording through the whole pipeline

A kit with an `ids.txt` keeps to those messages. Asking twice gets Stage 2 as well: it is only asked of what Stage 1 marked. `MESSAGES.jsonl` has `id, text, crisis, categories`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random  # a bench shuffles what it prints, with a fixed seed
from collections import Counter
from pathlib import Path
from typing import Any

from crisis_filter.backends.base import NONCE_PLACEHOLDER, AnswerT, Reply, Request
from crisis_filter.backends.recorded import Recorded, import_answers, request_hash
from crisis_filter.errors import BackendError
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Assessment, Message
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.stats.intervals import wilson
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources

_SEED = 20261121


class Asking:
    """A recording that remembers which requests it could not answer."""

    name = "recorded"

    def __init__(self, path: Path) -> None:
        path.touch()
        self._recorded = Recorded(str(path))
        self.open: dict[str, Request[Any]] = {}

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Replay, or note the request and fail."""
        try:
            return await self._recorded.complete(request)
        except BackendError:
            self.open[request_hash(request)] = request
            raise

    async def aclose(self) -> None:
        """Nothing to release."""


def main() -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["ask", "take", "score"])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--screen", default="screen/reasoned-v1", help="the Stage 1 prompt")
    parser.add_argument("--categorise", default="categorise/reasoned-v1", help="the Stage 2 prompt")
    parser.add_argument("--by", default="reader", help="who answers, for provenance")
    args = parser.parse_args()
    if args.step == "take":
        _take(args.first, args.second, args.by)
        return
    rows = [json.loads(line) for line in args.first.read_text(encoding="utf-8").splitlines()]
    args.second.mkdir(parents=True, exist_ok=True)
    chosen = args.second / "ids.txt"
    if chosen.exists():
        ids = chosen.read_text(encoding="utf-8").split()
        rows = sorted((row for row in rows if row["id"] in ids), key=lambda row: ids.index(row["id"]))
    asking = Asking(args.second / "recording.jsonl")
    assessments = asyncio.run(_run(rows, asking, args.screen, args.categorise))
    if args.step == "ask":
        _ask(asking, args.second)
    else:
        _score(rows, assessments)


async def _run(rows: list[dict[str, Any]], asking: Asking, screen: str, categorise: str) -> list[Assessment]:
    policy = load_policy("default")
    taxonomy = load_taxonomy(policy.stages.taxonomy)
    detector = TwoStages(
        name=asking.name,
        screener=PromptedScreen(asking, render(load_prompt(screen), taxonomy)),
        categoriser=PromptedCategorise(asking, render(load_prompt(categorise), taxonomy), taxonomy.ids),
    )
    crisis_filter = CrisisFilter(detector, taxonomy, policy, load_resources(policy.resources.pack))
    messages = [Message(id=row["id"], text=row["text"]) for row in rows]
    return [a async for a in crisis_filter.assess_many(messages, concurrency=1)]


def _ask(asking: Asking, kit: Path) -> None:
    keys = sorted(asking.open)
    random.Random(_SEED).shuffle(keys)  # noqa: S311  # order only
    book_path = kit / "book.json"
    # Kits that were handed out stay answerable: nonces of earlier kits are kept.
    book: dict[str, str] = json.loads(book_path.read_text(encoding="utf-8")) if book_path.exists() else {}
    for purpose in ("screen", "categorise"):
        mine = [key for key in keys if asking.open[key].purpose == purpose]
        if not mine:
            continue
        (kit / f"{purpose}.prompt.txt").write_text(asking.open[mine[0]].system, encoding="utf-8")
        parts = [f"##### request {n}\n{asking.open[key].user}" for n, key in enumerate(mine, 1)]
        (kit / f"{purpose}.requests.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        book |= {asking.open[key].nonce: key for key in mine}
        print(f"{purpose}: {len(mine)} requests")
    book_path.write_text(json.dumps(book, indent=1), encoding="utf-8")


def _take(kit: Path, answers: Path, by: str) -> None:
    """Answers are found by their nonce; one whose nonce belongs to no request is counted and left out, so it stays open."""
    book = json.loads((kit / "book.json").read_text(encoding="utf-8"))
    taken, lost = {}, 0
    for line in answers.read_text(encoding="utf-8").splitlines():
        nonce = next((n for n in book if n in line), None)
        if nonce is None:
            lost += bool(line.strip())
            continue
        taken[book[nonce]] = line.strip().replace(nonce, NONCE_PLACEHOLDER)
    import_answers(str(kit / "recording.jsonl"), taken, model=by)
    print(f"taken {len(taken)}, without a known nonce {lost}")


def _score(rows: list[dict[str, Any]], assessments: list[Assessment]) -> None:
    truth = {row["id"]: row for row in rows}
    outcomes: Counter[tuple[bool, str]] = Counter((truth[a.id]["crisis"], a.outcome) for a in assessments)
    for crisis, right, name in ((True, "crisis", "sensitivity"), (False, "no_crisis", "specificity")):
        n = sum(count for (label, _), count in outcomes.items() if label is crisis)
        _rate(name, outcomes[crisis, right], n, f"undetermined {outcomes[crisis, 'undetermined']}")
    print("\ncategories over all messages, end to end (true positives / named / labelled)")
    scores = []
    for category in sorted({c for row in rows for c in row["categories"]}):
        named = {a.id for a in assessments if category in {f.category for f in a.findings}}
        labelled = {row["id"] for row in rows if category in row["categories"]}
        hit = len(named & labelled)
        scores.append(2 * hit / (len(named) + len(labelled)))
        print(f"  {category:18} {hit:3} / {len(named):3} / {len(labelled):3}   F1 {scores[-1]:.3f}")
    print(f"  macro F1 {sum(scores) / len(scores):.3f}")
    dropped = sum(a.provenance.quotes_dropped for a in assessments)
    quotes = sum(len(f.evidence) for a in assessments for f in a.findings) + sum(
        len(a.screen.evidence) for a in assessments
    )
    print(
        f"\nquotes found in the text {quotes}, dropped {dropped}; faults {dict(Counter(a.fault for a in assessments if a.fault))}"
    )
    wrong = [a.id for a in assessments if (a.outcome == "crisis") != truth[a.id]["crisis"]]
    print(f"wrong or undetermined: {', '.join(wrong) or 'none'}")


def _rate(name: str, hits: int, n: int, beside: str) -> None:
    interval = wilson(hits, n)
    print(f"{name} {hits}/{n} = {hits / n:.3f} (95% Wilson {interval.low:.3f} to {interval.high:.3f}); {beside}")


if __name__ == "__main__":
    main()
