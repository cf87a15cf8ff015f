"""Ask NOPE's crisis validator about each case; runs inside the environment that `bench.fail_safe` made for it.

    nope_runner.py BASE_URL < cases.jsonl > outcomes.jsonl

A case is `{"id", "text", "fault"}`; the validator is pointed at `BASE_URL/FAULT` by its documented variable `NOPE_API_URL`, with every other argument
left at its default. A line of output is `{"id", "fault", "outcome", "reason"}` and holds no text of the message or of the answer:

- `allowed`: the validator returned a pass, so the caller sends the message on; the reason is `fail_open` where its metadata say so, else `plain_pass`;
- `blocked`: the validator returned a fail, which is how it reports a crisis;
- `error`: it raised.

The package asks for `guardrails-ai`, of which it uses four base classes and a decorator. A stand-in for those five names (the folder `stub`) is put on
the path instead: the validator's own code runs unmodified, its `_validate` is called as the framework would call it, and the framework is not here.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CONCURRENCY = 20


def _ask(validator: Any, case: dict[str, str]) -> dict[str, str]:
    try:
        result = validator._validate(case["text"], {})  # noqa: SLF001 - the method that a validator defines
    except Exception as error:  # noqa: BLE001 - whatever is raised is what the caller sees
        outcome, reason = "error", type(error).__name__
    else:
        if result.outcome == "pass":
            outcome, reason = "allowed", "fail_open" if (result.metadata or {}).get("fail_open") else "plain_pass"
        else:
            outcome, reason = "blocked", "risk"
    return {"id": case["id"], "fault": case["fault"], "outcome": outcome, "reason": reason}


def _main(base_url: str) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "stub"))
    from nope_crisis_screen import CrisisScreen  # type: ignore[import-not-found]

    cases = [json.loads(line) for line in sys.stdin]
    for fault in dict.fromkeys(case["fault"] for case in cases):
        os.environ["NOPE_API_URL"] = f"{base_url}/{fault}"
        validator = CrisisScreen(api_key="none")
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            for row in pool.map(lambda case, v=validator: _ask(v, case), [c for c in cases if c["fault"] == fault]):
                sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _main(sys.argv[1])
