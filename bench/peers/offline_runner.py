"""Ask one offline package about every message, one at a time; runs inside the environment that `bench.engines` made for it.

    offline_runner.py NAME [ENGINE] < messages.jsonl > answers.jsonl

A message is `{"id", "text"}`. Each gets a line `{"id", "flagged", "ms"}`, with `score` where the package gives a probability that can be compared with a
threshold, `labels` where it named something, in its own words, and `fault` where our filter says why it gave no verdict; the last line holds the
version, memory and the time from before the import to the first verdict. No line holds a text. `flagged` is null where the package gave no verdict: it
raised, refused the message or said itself that it does not know. `ms` is the package's own call and nothing else. The process keeps to one core, and
a network connection is refused and counted.

Other people's packages are asked and read as `crisis_filter/baselines/offline_rules.py` says, which also serves them as baselines. It is loaded here as a
file, not imported as a part of our package: the environments have none of what that package needs, and a peer's measurements would pay for it.
Ours, by NAME:

- `engine`: our embedded engine at its own threshold, `LocalEngine.load(ENGINE).score(text)`.
- `filter`: what `crisis-filter --backend local` does, `open_filter(FilterSpec(engine=ENGINE)).classify(text)`; undetermined is no verdict.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

FIRST = "can I move my appointment to thursday"
"""The message of the first verdict, which is no part of any set."""
_OFF_LIMITS = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}

_RULES = Path(__file__).parent.parent.parent / "crisis_filter/baselines/offline_rules.py"


def _rules() -> ModuleType:
    """The module of that file."""
    found = spec_from_file_location("offline_rules", _RULES)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    sys.modules[found.name] = module  # a dataclass looks its own module up there
    found.loader.exec_module(module)
    return module


Plain = Mapping[str, Any]
"""What a package answered, as plain values that hold none of the text."""


@dataclass(frozen=True)
class Tool:
    """A package and how it is read."""

    package: str
    open: Callable[[str], Callable[[str], Any]]
    """Imports the package and makes it ready; takes the engine's folder, which only ours use. What comes back is the call that is timed."""
    plain: Callable[[Any], Plain]
    read: Callable[[Plain], bool | None]
    labels: Callable[[Plain], tuple[str, ...]] = lambda _: ()
    """What it named, of an answer that is flagged."""


def _peer(tool: Any) -> Tool:
    return Tool(tool.package, lambda _: tool.open(False), tool.plain, tool.read, tool.labels)


def at_threshold(answer: Plain) -> bool | None:
    """Of `engine`."""
    return bool(answer["score"] >= answer["threshold"])


def outcome(answer: Plain) -> bool | None:
    """Of `filter`."""
    return {"crisis": True, "no_crisis": False}.get(answer["outcome"])


def categories(answer: Plain) -> tuple[str, ...]:
    """Of `filter`."""
    found: tuple[str, ...] = answer["categories"]
    return found


def _filter_plain(assessment: Any) -> Plain:
    return {
        "outcome": assessment.outcome,
        "categories": tuple(finding.category for finding in assessment.findings),
        "fault": assessment.fault and assessment.fault.value,
    }


def _engine(folder: str) -> Callable[[str], Any]:
    from crisis_filter.local.engine import LocalEngine

    engine = LocalEngine.load(Path(folder))
    threshold = engine.thresholds[0]
    return lambda text: (engine.score(text)[0], threshold)


def _filter(folder: str) -> Callable[[str], Any]:
    from crisis_filter.pipeline.spec import FilterSpec, open_filter

    return open_filter(FilterSpec(engine=folder)).__enter__().classify


TOOLS: Mapping[str, Tool] = {
    **{name: _peer(tool) for name, tool in _rules().TOOLS.items()},
    "engine": Tool("crisis-filter", _engine, lambda a: {"score": float(a[0]), "threshold": a[1]}, at_threshold),
    "filter": Tool("crisis-filter", _filter, _filter_plain, outcome, categories),
}
"""The names that the runner takes."""


def ask(tool: Tool, call: Callable[[str], Any], text: str) -> dict[str, Any]:
    """One verdict, and how long the package took for it; `error` is the class of what it raised."""
    start = time.perf_counter()
    try:
        answer = call(text)
        ms = (time.perf_counter() - start) * 1e3
        plain = tool.plain(answer)
        said: dict[str, Any] = {"flagged": tool.read(plain)}
        if said["flagged"] and (labels := tool.labels(plain)):
            said["labels"] = list(labels)
        if said["flagged"] is None and plain.get("fault"):
            said["fault"] = plain["fault"]
    except Exception as error:  # noqa: BLE001 - whatever is raised is what the caller sees
        return {"flagged": None, "ms": (time.perf_counter() - start) * 1e3, "error": type(error).__name__}
    return {**said, "ms": ms, **({"score": plain["score"]} if "score" in plain else {})}


def _memory_mb() -> dict[str, float | None]:
    """Resident now and at most, in 10^6 bytes; null on a system that does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {"rss_mb": None, "peak_rss_mb": None}
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"rss_mb": kib["VmRSS"] * 1024 / 1e6, "peak_rss_mb": kib["VmHWM"] * 1024 / 1e6}


def main(name: str, engine: str = "") -> None:
    """Read messages, ask, write answers."""
    tried: Counter[str] = Counter()

    def offline(event: str, _: object) -> None:
        if event in _OFF_LIMITS:
            tried[event] += 1
            raise PermissionError("this process has no network")

    sys.addaudithook(offline)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    tool = TOOLS[name]
    start = time.perf_counter()
    call = tool.open(engine)
    first = ask(tool, call, FIRST)
    cold = time.perf_counter() - start
    for line in sys.stdin:
        case = json.loads(line)
        print(json.dumps({"id": case["id"], **ask(tool, call, case["text"])}), file=sys.__stdout__)
    closing = {
        "version": version(tool.package),
        "cold_start_s": cold,
        "first": first.get("error"),
        "network": tried.total(),
        **_memory_mb(),
    }
    print(json.dumps(closing), file=sys.__stdout__)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # some log each finding, and would be timed for it
    with contextlib.redirect_stdout(sys.stderr):
        main(*sys.argv[1:])
