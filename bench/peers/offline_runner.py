"""Ask one offline package about every message, one at a time; runs inside the environment that `bench.engines` made for it.

    offline_runner.py NAME [ENGINE] < messages.jsonl > answers.jsonl

A message is `{"id", "text"}`. Each gets a line `{"id", "flagged", "ms"}`, with `score` where the package gives a probability that can be compared with a
threshold; the last line holds the version, memory and the time from before the import to the first verdict. No line holds a text. `flagged` is null where
the package gave no verdict: it raised, refused the message or said itself that it does not know. `ms` is the package's own call and nothing else.
The process keeps to one core, and a network connection is refused and counted.

What counts as flagged, by NAME. Each package is called as its README says, and no setting of it was left out that would find more without a download:

- `bh-sentinel-any`: `Pipeline().analyze_sync(text)`, `summary.total_flags` above 0. Any risk flag of any severity, medication not taken among them; what it
  calls protective factors are no flags. Its most sensitive reading. (`max_severity` is LOW without any flag too, so it cannot tell this.)
- `bh-sentinel-high`: the same call, `summary.max_severity` HIGH or CRITICAL. `requires_immediate_review` is not used: it is true for combinations of
  flags only, and false on a plain plan of suicide. The package's second layer is another distribution, which fetches its model at first use.
- `rrt-advocate`: `CrisisEngine(...).assess(text)`, `crisis_level` other than GREEN, which is where its README routes to support and the most sensitive
  reading there is. Every message is a session of its own (`reset_session`), since its sliding windows are for the messages of one person. Sentiment by its built-in heuristic,
  its default.
- `rrt-advocate-vader`: the same with `vaderSentiment`, its documented extra.
- `pantheon-guardrails`: `CrisisProtocol().check(text).triggered`; it has no setting that changes what it finds.
- `cogno-aegis`: `InputGuard(crisis_rules=DEFAULT_CRISIS_RULES).check_text(text)`, category CRISIS. Without those rules, which is the default, it looks for no
  crisis at all. TOO_LONG is not flagged: the rules have been tried on the whole text before the length.
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
from pathlib import Path
from typing import Any

FIRST = "can I move my appointment to thursday"
"""The message of the first verdict, which is no part of any set."""
_OFF_LIMITS = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}

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


def any_flag(answer: Plain) -> bool | None:
    """Of `bh-sentinel-any`."""
    return answer["total_flags"] > 0 if "error_code" not in answer else None


def high_or_above(answer: Plain) -> bool | None:
    """Of `bh-sentinel-high`."""
    known = {"POSITIVE": False, "LOW": False, "MEDIUM": False, "HIGH": True, "CRITICAL": True}
    return known.get(answer["max_severity"]) if "error_code" not in answer else None


def above_green(answer: Plain) -> bool | None:
    """Of both `rrt-advocate`."""
    known = {"GREEN": False, "YELLOW": True, "ORANGE": True, "RED": True, "BLACK": True}
    return known.get(answer["crisis_level"])


def triggered(answer: Plain) -> bool | None:
    """Of `pantheon-guardrails`."""
    said = answer["triggered"]
    return said if isinstance(said, bool) else None


def crisis_rule(answer: Plain) -> bool | None:
    """Of `cogno-aegis`."""
    return {"ok": False, "too_long": False, "crisis": True}.get(answer["category"])


def at_threshold(answer: Plain) -> bool | None:
    """Of `engine`."""
    return bool(answer["score"] >= answer["threshold"])


def outcome(answer: Plain) -> bool | None:
    """Of `filter`."""
    return {"crisis": True, "no_crisis": False}.get(answer["outcome"])


def _bh_sentinel(_: str) -> Callable[[str], Any]:
    from bh_sentinel.core import Pipeline  # type: ignore[import-not-found]

    call: Callable[[str], Any] = Pipeline().analyze_sync
    return call


def _bh_sentinel_plain(answer: Any) -> Plain:
    if hasattr(answer, "error_code"):
        return {"error_code": str(answer.error_code)}
    return {"total_flags": answer.summary.total_flags, "max_severity": str(answer.summary.max_severity)}


def _rrt_advocate(_: str, *, vader: bool = False) -> Callable[[str], Any]:
    from rrt_advocate import CrisisEngine  # type: ignore[import-not-found]

    analyzer = None
    if vader:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-not-found]

        analyzer = SentimentIntensityAnalyzer()
    engine = CrisisEngine("bench", sentiment_analyzer=analyzer)

    def assess(text: str) -> Any:
        engine.reset_session()
        return engine.assess(text)

    return assess


def _pantheon_guardrails(_: str) -> Callable[[str], Any]:
    from pantheon_guardrails import CrisisProtocol  # type: ignore[import-not-found]

    call: Callable[[str], Any] = CrisisProtocol().check
    return call


def _cogno_aegis(_: str) -> Callable[[str], Any]:
    from cogno_aegis import InputGuard  # type: ignore[import-not-found]
    from cogno_aegis.safety import DEFAULT_CRISIS_RULES  # type: ignore[import-not-found]

    call: Callable[[str], Any] = InputGuard(crisis_rules=DEFAULT_CRISIS_RULES).check_text
    return call


def _engine(folder: str) -> Callable[[str], Any]:
    from crisis_filter.local.engine import LocalEngine

    engine = LocalEngine.load(Path(folder))
    threshold = engine.thresholds[0]
    return lambda text: (engine.score(text)[0], threshold)


def _filter(folder: str) -> Callable[[str], Any]:
    from crisis_filter.pipeline.spec import FilterSpec, open_filter

    return open_filter(FilterSpec(engine=folder)).__enter__().classify


def _rrt_plain(answer: Any) -> Plain:
    return {"crisis_level": answer.crisis_level.name}


TOOLS: Mapping[str, Tool] = {
    "bh-sentinel-any": Tool("bh-sentinel-core", _bh_sentinel, _bh_sentinel_plain, any_flag),
    "bh-sentinel-high": Tool("bh-sentinel-core", _bh_sentinel, _bh_sentinel_plain, high_or_above),
    "rrt-advocate": Tool("rrt-advocate", _rrt_advocate, _rrt_plain, above_green),
    "rrt-advocate-vader": Tool("rrt-advocate", lambda _: _rrt_advocate(_, vader=True), _rrt_plain, above_green),
    "pantheon-guardrails": Tool(
        "pantheon-guardrails", _pantheon_guardrails, lambda a: {"triggered": a.triggered}, triggered
    ),
    "cogno-aegis": Tool("cogno-aegis", _cogno_aegis, lambda a: {"category": a.category.value}, crisis_rule),
    "engine": Tool("crisis-filter", _engine, lambda a: {"score": float(a[0]), "threshold": a[1]}, at_threshold),
    "filter": Tool("crisis-filter", _filter, lambda a: {"outcome": a.outcome}, outcome),
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
