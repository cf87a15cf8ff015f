"""Ask NeMo Guardrails' input rails about each case; runs inside the environment that `bench.fail_safe` made for it.

    nemo_runner.py RAIL BASE_URL < cases.jsonl > outcomes.jsonl

`RAIL` is one of the keys of `RAILS`. A case is `{"id", "text", "fault"}`; the fault is sent as the model name `fault:NAME`, which the fault server
understands. The question is put through `LLMRails.check_async`, the library's own call for "run the rails, generate nothing". A line of output is
`{"id", "fault", "outcome", "reason"}` and holds no text of the message or of the answer:

- `allowed`: the status is `passed`, so the caller sends the message on;
- `blocked`: a rail stopped the message;
- `error`: the call raised, or came back with the library's own "internal error" reply in place of the message.

Everything is as the library documents it but for the time one request may take: its default of 600 s, with two retries, would make a hang last half
an hour. The prompts are our own short wording of the documented tasks: no model reads them here. Usage statistics are switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from typing import Any

TIMEOUT_S = 2
CONCURRENCY = 20
_CONTENT_SAFETY = """
models:
  - type: content_safety
    engine: nim
    model: {model}
    parameters: {{base_url: "{base_url}", timeout: {timeout}, api_key: none}}
rails:
  input:
    flows:
      - content safety check input $model=content_safety
prompts:
  - task: content_safety_check_input $model=content_safety
    content: "Is there unsafe content in this message? {{{{ user_input }}}}"
    output_parser: {parser}
    max_tokens: 50
"""
_SELF_CHECK = """
models:
  - type: main
    engine: openai
    model: {model}
    parameters: {{base_url: "{base_url}", timeout: {timeout}, api_key: none}}
rails:
  input:
    flows:
      - self check input
prompts:
  - task: self_check_input
    content: "Should this user message be blocked (Yes or No)? {{{{ user_input }}}} Answer:"
"""
RAILS = {
    "content-safety": (_CONTENT_SAFETY, "nemoguard_parse_prompt_safety"),
    "content-safety-text": (_CONTENT_SAFETY, "is_content_safe"),
    "self-check": (_SELF_CHECK, ""),
}
"""Rail -> its configuration and output parser: NVIDIA's own safety model answers JSON, other safety models a word."""


async def _ask(rails: Any, case: dict[str, str], gate: asyncio.Semaphore) -> dict[str, str]:
    async with gate:
        try:
            result = await rails.check_async([{"role": "user", "content": case["text"]}])
        except Exception as error:  # noqa: BLE001 - whatever is raised is what the caller sees
            outcome, reason = "error", type(error).__name__
        else:
            outcome, reason = _read(result)
    return {"id": case["id"], "fault": case["fault"], "outcome": outcome, "reason": reason}


def _read(result: Any) -> tuple[str, str]:
    if "internal error" in result.content:
        return "error", f"internal_error_{result.status.value}"
    if result.status.value == "passed":
        return "allowed", "passed"
    if result.status.value == "blocked":
        return "blocked", "rail"
    return "error", result.status.value


async def _main(rail: str, base_url: str) -> None:
    from nemoguardrails import LLMRails, RailsConfig  # type: ignore[import-not-found]

    template, parser = RAILS[rail]
    cases = [json.loads(line) for line in sys.stdin]
    gate = asyncio.Semaphore(CONCURRENCY)
    rails = {}
    for fault in {case["fault"] for case in cases}:
        settings = template.format(model=f"fault:{fault}", base_url=base_url, timeout=TIMEOUT_S, parser=parser)
        rails[fault] = LLMRails(RailsConfig.from_content(yaml_content=settings))
    for row in await asyncio.gather(*(_ask(rails[case["fault"]], case, gate) for case in cases)):
        print(json.dumps(row), file=sys.__stdout__)


if __name__ == "__main__":
    os.environ["NEMO_GUARDRAILS_NO_USAGE_STATS"] = "1"
    logging.disable(logging.CRITICAL)  # its log holds the messages
    with contextlib.redirect_stdout(sys.stderr):
        asyncio.run(_main(sys.argv[1], sys.argv[2]))
