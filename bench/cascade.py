"""What a cascade saves and whom it may miss, at prevalences that a platform has.

    python -m bench.cascade [--engine FOLDER] [--target 0.99] [--prices 0.15 0.60] [--json]

The clearing threshold is set on the 450 crises of `validation`, as `crisis-filter cascade validate` does it; the share cleared is then counted on `test` and `test-hard`, and
the verdicts after that are the recorded readers' (`bench/recordings`), replayed through the whole pipeline with and without the engine before them. A table for each
prevalence says what of 100,000 messages is cleared, asked, missed. Readers are language models of the kind that wrote the set; no clinician gave or checked a label.
Tokens are characters sent and received divided by four, which is an assumption, and prices are the caller's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from crisis_filter.assets import file_sha256
from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Labelled, Split
from crisis_filter.local.engine import LocalEngine
from crisis_filter.pipeline.chain import engine_folder
from crisis_filter.pipeline.clearing import Labels, clearing_score, validate
from crisis_filter.pipeline.spec import DEFAULT_ENGINE, FilterSpec, open_filter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Assessment, Message
from crisis_filter.stages.clearing import Clearing
from crisis_filter.stages.engine import EngineStages
from crisis_filter.stats.intervals import Interval, wilson
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy

ROOT = Path(__file__).parent.parent
SET = ROOT / "data/simulated-v1"
RECORDED: dict[Split, Path] = {
    "test": ROOT / "bench/recordings/readers-test-v2",
    "test-hard": ROOT / "bench/recordings/readers-test-hard-v2",
}
PREVALENCES = (0.01, 0.02, 0.05)
MESSAGES = 100_000
_CHARACTERS_A_TOKEN = 4


def proved(engine: LocalEngine, target: float, delta: float) -> Clearing:
    """The threshold that the crises of `validation` allow."""
    (part,) = (part for part in read_manifest(SET).parts if part.split == "validation")
    rows = load(SET, "validation")
    labels = Labels(
        name=part.file,
        sha256=file_sha256(SET / part.file),
        labelled_by=read_manifest(SET).labelled_by,
        crises=tuple(row.text for row in rows if row.crisis),
        others=tuple(row.text for row in rows if not row.crisis),
    )
    return asyncio.run(validate(engine, labels, target=target, delta=delta, languages=("en",), most_characters=600))


async def below(engine: LocalEngine, clearing: Clearing, rows: list[Labelled]) -> int:
    """How many of the messages would be cleared."""
    stages = EngineStages(engine, may_clear=False)
    scores = [
        await clearing_score(stages, row.text, languages=clearing.languages, most_characters=clearing.most_characters)
        for row in rows
    ]
    await stages.aclose()
    return sum(score < clearing.threshold for score in scores)


def replayed(split: Split, **fields: Any) -> list[tuple[Labelled, Assessment]]:
    """The recorded messages of a split through a filter."""
    ids = (RECORDED[split] / "ids.txt").read_text(encoding="utf-8").split()
    rows = {row.id: row for row in load(SET, split)}
    recording = f"recorded:{RECORDED[split] / 'recording.jsonl'}"
    backend = f"cascade:local,{recording}" if "clearing" in fields else recording
    with open_filter(FilterSpec(backend=backend, evidence=False, **fields)) as crisis_filter:
        done = crisis_filter.classify_many([Message(id=i, text=rows[i].text) for i in ids])
    return [(rows[a.id], a) for a in done]


def _found(pairs: list[tuple[Labelled, Assessment]]) -> dict[str, Interval]:
    crises = [a for row, a in pairs if row.crisis]
    others = [a for row, a in pairs if not row.crisis]
    return {
        "sensitivity": wilson(sum(a.outcome == "crisis" for a in crises), len(crises)),
        "specificity": wilson(sum(a.outcome not in ("crisis", "undetermined") for a in others), len(others)),
        "cleared crises": wilson(sum("cleared_by_engine" in a.flags for a in crises), len(crises)),
        "cleared others": wilson(sum("cleared_by_engine" in a.flags for a in others), len(others)),
    }


def prompt_tokens(rows: list[Labelled]) -> float:
    """Of one Stage 1 request of the default policy, about."""
    policy = load_policy("default-v3")
    prompt = render(load_prompt(policy.stages.screen), load_taxonomy(policy.stages.taxonomy))
    message = sum(len(row.text) for row in rows) / len(rows)
    return (len(prompt.system) + message) / _CHARACTERS_A_TOKEN


def at_prevalences(cleared: dict[bool, Interval], sample: float, price: float) -> list[dict[str, float]]:
    """Of so many messages: cleared, asked, crises cleared, money saved; by the shares that were counted."""
    rows = []
    for prevalence in PREVALENCES:
        crises, others = MESSAGES * prevalence, MESSAGES * (1 - prevalence)
        share = {label: (one.estimate or 0.0) * (1 - sample) for label, one in cleared.items()}
        left = crises * share[True] + others * share[False]
        rows.append(
            {
                "prevalence": prevalence,
                "cleared": left,
                "asked": MESSAGES - left,
                "share_cleared": left / MESSAGES,
                "crises": crises,
                "crises_cleared": crises * share[True],
                "crises_cleared_at_most": crises * cleared[True].high * (1 - sample),
                "saved": left * price,
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help="name or folder")
    parser.add_argument("--target", type=float, default=0.99)
    parser.add_argument("--delta", type=float, default=0.05)
    parser.add_argument("--sample", type=float, default=0.02)
    parser.add_argument(
        "--prices", type=float, nargs=2, default=(0.15, 0.60), help="of a million prompt and completion tokens"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    engine = LocalEngine.load(engine_folder(given.engine))
    clearing = proved(engine, given.target, given.delta)
    result: dict[str, Any] = {
        "clearing": clearing.model_dump(mode="json"),
        "statement": clearing.statement(),
        "splits": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "clearing.json"
        path.write_text(clearing.model_dump_json(), encoding="utf-8")
        for split in RECORDED:
            rows = list(load(SET, split))
            cleared = {
                label: wilson(
                    asyncio.run(below(engine, clearing, [r for r in rows if r.crisis is label])),
                    sum(r.crisis is label for r in rows),
                )
                for label in (True, False)
            }
            alone, cascaded = (
                replayed(split),
                replayed(split, clearing=str(path), engine=given.engine, sample=given.sample),
            )
            answer = [a.screen.rationale or "" for _, a in alone]
            price = (
                given.prices[0] * prompt_tokens(rows)
                + given.prices[1] * sum(map(len, answer)) / len(answer) / _CHARACTERS_A_TOKEN
            ) / 1e6
            result["splits"][split] = {
                "cleared": {"crises": vars_of(cleared[True]), "others": vars_of(cleared[False])},
                "readers": {name: vars_of(one) for name, one in _found(alone).items()},
                "cascade": {name: vars_of(one) for name, one in _found(cascaded).items()},
                "price_of_a_call": price,
                "prevalences": at_prevalences(cleared, given.sample, price),
            }
    print(json.dumps(result, indent=1) if given.json else "\n".join(lines(result)))


def vars_of(one: Interval) -> dict[str, float | int | None]:
    """An interval as plain numbers."""
    return {"count": one.count, "n": one.nobs, "estimate": one.estimate, "low": one.low, "high": one.high}


def _rate(one: dict[str, Any]) -> str:
    return f"{one['count']}/{one['n']} = {one['estimate']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def lines(result: dict[str, Any]) -> list[str]:
    """As tables for people."""
    out = [result["statement"]]
    for split, found in result["splits"].items():
        out += [
            "",
            f"{split}: crises below the threshold {_rate(found['cleared']['crises'])}, others {_rate(found['cleared']['others'])}",
        ]
        out += [
            f"  {who}: sensitivity {_rate(found[who]['sensitivity'])}, specificity {_rate(found[who]['specificity'])}"
            for who in ("readers", "cascade")
        ]
        out += [
            "",
            "| prevalence | of 100,000 cleared | asked | crises | of them cleared (95% at most) | saved |",
            "|---|---|---|---|---|---|",
        ]
        out += [
            f"| {row['prevalence']:.0%} | {row['cleared']:,.0f} | {row['asked']:,.0f} | {row['crises']:,.0f} | {row['crises_cleared']:.1f} "
            f"({row['crises_cleared_at_most']:.1f}) | {row['saved']:.2f} |"
            for row in found["prevalences"]
        ]
    return out


if __name__ == "__main__":
    main()
