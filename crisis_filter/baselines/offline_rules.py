"""How other people's offline packages are asked, and what of their answers counts as flagged: the one place that says it.

Only the standard library is imported here, and each package where it is opened: the bench loads this very file inside environments
that have one of the packages and nothing of ours. Each package is called as its README says, and no setting of it was left out that would
find more without a download.

- `bh-sentinel-core`: `Pipeline().analyze(text)`. `flag=any`, its most sensitive reading: any risk flag of any severity, medication not taken
  among them; what it calls protective factors are no flags. (`max_severity` is LOW without any flag too, so it cannot tell this.) `flag=high`:
  `summary.max_severity` HIGH or CRITICAL. `requires_immediate_review` is not used: it is true for combinations of flags only, and false
  on a plain plan of suicide. Its second layer is another distribution, which fetches its model at first use.
- `rrt-advocate`: `CrisisEngine(...).assess(text)`, `crisis_level` other than GREEN, which is where its README routes to support and the most
  sensitive reading there is. Every message is a session of its own (`reset_session`), since its sliding windows are for the messages of one person.
  `sentiment=heuristic` is its built-in one, its default; `sentiment=vader` its documented extra.
- `pantheon-guardrails`: `CrisisProtocol().check(text).triggered`; it has no setting that changes what it finds.
- `cogno-aegis`: `InputGuard(crisis_rules=DEFAULT_CRISIS_RULES).check_text(text)`, category CRISIS. Without those rules, which is the default, it looks
  for no crisis at all. TOO_LONG is not flagged: the rules have been tried on the whole text before the length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["TOOLS", "Plain", "Tool"]

Plain = Mapping[str, Any]
"""What a package answered, as plain values that hold none of the text."""


@dataclass(frozen=True)
class Tool:
    """One package, asked with one setting."""

    package: str
    """Name on the package index, and of the baseline."""
    pin: str
    """What to install, with the release that was read and measured."""
    open: Callable[[bool], Callable[[str], Any]]
    """Imports the package and makes it ready. Given whether an event loop will be running; then what comes back may be a coroutine function."""
    plain: Callable[[Any], Plain]
    read: Callable[[Plain], bool | None]
    """Flagged or not; `None` is no verdict: an answer that it refused, that is not complete, or that nobody knows how to read."""
    labels: Callable[[Plain], tuple[str, ...]]
    """What it named, in its own words; those of the map in `categories/maps`, and whatever a later release adds."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The setting, by name."""


_BH_LAYERS = ("layer_1_pattern", "layer_3_emotion_lexicon", "layer_4_rules")


def _bh_sentinel(running: bool) -> Callable[[str], Any]:
    pipeline = import_module("bh_sentinel.core").Pipeline()
    call: Callable[[str], Any] = pipeline.analyze if running else pipeline.analyze_sync
    return call


def _bh_plain(answer: Any) -> Plain:
    if hasattr(answer, "error_code"):
        return {"error_code": str(answer.error_code)}
    done = [str(getattr(answer.pipeline_status, layer)) for layer in _BH_LAYERS]
    return {
        "total_flags": answer.summary.total_flags,
        "max_severity": str(answer.summary.max_severity),
        "flags": tuple(flag.flag_id for flag in answer.flags),
        "whole": all(state == "completed" for state in done),
    }


def _any_flag(answer: Plain) -> bool | None:
    """Of `flag=any`; a layer that did not run takes no flag away, and leaves no silence that counts."""
    if "error_code" in answer:
        return None
    if answer["total_flags"] > 0 or answer["flags"]:
        return True
    return False if answer["whole"] is True else None


def _high_or_above(answer: Plain) -> bool | None:
    """Of `flag=high`."""
    if "error_code" in answer:
        return None
    known = {"POSITIVE": False, "LOW": False, "MEDIUM": False, "HIGH": True, "CRITICAL": True}
    said = known.get(answer["max_severity"])
    return None if said is False and answer["whole"] is not True else said


def _rrt_advocate(vader: bool) -> Callable[[str], Any]:
    # Left out, the package would take vaderSentiment wherever it happens to be installed.
    analyzer = import_module("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer() if vader else None
    engine = import_module("rrt_advocate").CrisisEngine("nobody", sentiment_analyzer=analyzer)

    def ask(text: str) -> Any:
        engine.reset_session()
        return engine.assess(text)

    return ask


def _rrt_plain(answer: Any) -> Plain:
    return {"crisis_level": answer.crisis_level.name, "fields": tuple(map(str, answer.secondary_indicators))}


def _above_green(answer: Plain) -> bool | None:
    return {"GREEN": False, "YELLOW": True, "ORANGE": True, "RED": True, "BLACK": True}.get(answer["crisis_level"])


def _pantheon_guardrails(_: bool) -> Callable[[str], Any]:
    call: Callable[[str], Any] = import_module("pantheon_guardrails").CrisisProtocol().check
    return call


def _triggered(answer: Plain) -> bool | None:
    said = answer["triggered"]
    return said if isinstance(said, bool) else None


def _cogno_aegis(_: bool) -> Callable[[str], Any]:
    rules = import_module("cogno_aegis.safety").DEFAULT_CRISIS_RULES
    call: Callable[[str], Any] = import_module("cogno_aegis").InputGuard(crisis_rules=rules).check_text
    return call


def _crisis_rule(answer: Plain) -> bool | None:
    return {"ok": False, "too_long": False, "crisis": True}.get(answer["category"])


_BH, _RRT = "bh-sentinel-core", "rrt-advocate"
_BH_PIN, _RRT_PIN = "bh-sentinel-core==0.1.2", "rrt-advocate==0.1.1"

TOOLS: Mapping[str, Tool] = {
    "bh-sentinel-any": Tool(
        _BH, _BH_PIN, _bh_sentinel, _bh_plain, _any_flag, lambda a: a.get("flags", ()), {"flag": "any"}
    ),
    "bh-sentinel-high": Tool(
        _BH, _BH_PIN, _bh_sentinel, _bh_plain, _high_or_above, lambda a: a.get("flags", ()), {"flag": "high"}
    ),
    "rrt-advocate": Tool(
        _RRT,
        _RRT_PIN,
        lambda _: _rrt_advocate(vader=False),
        _rrt_plain,
        _above_green,
        lambda a: a["fields"],
        {"sentiment": "heuristic"},
    ),
    "rrt-advocate-vader": Tool(
        _RRT,
        "rrt-advocate[vader]==0.1.1",
        lambda _: _rrt_advocate(vader=True),
        _rrt_plain,
        _above_green,
        lambda a: a["fields"],
        {"sentiment": "vader"},
    ),
    "pantheon-guardrails": Tool(
        "pantheon-guardrails",
        "pantheon-guardrails==0.3.2",
        _pantheon_guardrails,
        lambda a: {"triggered": a.triggered},
        _triggered,
        lambda a: ("triggered",) if a["triggered"] is True else (),
    ),
    "cogno-aegis": Tool(
        "cogno-aegis",
        "cogno-aegis==0.1.0",
        _cogno_aegis,
        lambda a: {"category": a.category.value},
        _crisis_rule,
        lambda a: ("crisis",) if a["category"] == "crisis" else (),
    ),
}
"""By the bench's names. Of a package with a setting, the first is its default here."""
