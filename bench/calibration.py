"""Do the engine's probabilities mean what they say? Figures on `data/simulated-v1`, and the reliability diagram.

    python -m bench.calibration [--engine FOLDER] [--splits validation test test-hard] [--plot docs/calibration.svg] [--json]

The engine was calibrated on `validation`; the other splits say whether that holds. Messages are taken for independent and half of them (of test-hard a third) are crises, so
a probability is that of such a set: `--prevalence` of the commands adjusts it. Labels are those of language models; no clinician checked any.
"""

from __future__ import annotations

import argparse
import json
from html import escape
from pathlib import Path
from typing import Any, get_args

import numpy as np

from crisis_filter.datasets.reading import load
from crisis_filter.datasets.records import Split
from crisis_filter.local.engine import LocalEngine
from crisis_filter.pipeline.chain import engine_folder
from crisis_filter.pipeline.spec import DEFAULT_ENGINE
from crisis_filter.stats.calibration import Calibration, calibration
from crisis_filter.stats.resampling import Resampling

SET = Path(__file__).parent.parent / "data/simulated-v1"
_SIZE, _LEFT, _TOP, _GAP = 260, 56, 74, 52
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1b1f24}.h{font-weight:600;font-size:13px}.t{font-weight:600;font-size:15px}.m{text-anchor:middle}.e{text-anchor:end}"
    ".k{fill:#59606a;font-size:11px}.back{fill:#fff}.g{stroke:#e3e6ea}.edge{stroke:#8a919b;fill:none}.right{stroke:#59606a;stroke-dasharray:4 3}"
    ".bar{stroke:#0067a8;stroke-width:1.6}.dot{fill:#0067a8}"
    "@media (prefers-color-scheme:dark){text{fill:#e6e9ed}.k{fill:#a8b0ba}.back{fill:#14181d}.g{stroke:#2b3138}.edge{stroke:#7b8490}.right{stroke:#a8b0ba}"
    ".bar{stroke:#5db5f2}.dot{fill:#5db5f2}}"
)


def measured(engine: LocalEngine, split: Split) -> Calibration:
    """Of the probability of any crisis."""
    rows = load(SET, split)
    scores = engine.predict([row.text for row in rows])[:, 0].astype(float)
    return calibration([row.crisis for row in rows], scores, Resampling(np.random.default_rng(0), resamples=1000))


def drawn(engine: LocalEngine, found: dict[str, Calibration]) -> str:
    """A panel for each split: observed share of crises, with its interval, over the mean probability of ten bins."""
    width = _LEFT + len(found) * (_SIZE + _GAP)
    height = _TOP + _SIZE + 78
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="Reliability diagram of the embedded engine">',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{width}" height="{height}"/>',
        f'<text class="t" x="{_LEFT}" y="26">Scores of {escape(engine.id)}, and what was true</text>',
    ]
    for place, (name, one) in enumerate(found.items()):
        left = _LEFT + place * (_SIZE + _GAP)
        out += _panel(left, name, one, first=place == 0)
    note = "Ten bins of as many messages each; bars: 95% Wilson; dashed: right. Labels by language models, no clinician checked any."
    out += [f'<text class="k" x="{_LEFT}" y="{height - 14}">{note}</text>', "</svg>"]
    return "\n".join(out) + "\n"


def _panel(left: int, name: str, one: Calibration, *, first: bool) -> list[str]:
    bottom = _TOP + _SIZE

    def x(value: float) -> float:
        return round(left + value * _SIZE, 1)

    def y(value: float) -> float:
        return round(bottom - value * _SIZE, 1)

    ece = "undefined" if one.ece is None else f"{one.ece:.3f}"
    out = [f'<text class="h" x="{left}" y="{_TOP - 14}">{escape(name)}: {one.n:,} messages, ECE {ece}</text>']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        out.append(f'<line class="g" x1="{x(tick)}" x2="{x(tick)}" y1="{_TOP}" y2="{bottom}"/>')
        out.append(f'<line class="g" x1="{left}" x2="{left + _SIZE}" y1="{y(tick)}" y2="{y(tick)}"/>')
        out.append(f'<text class="k m" x="{x(tick)}" y="{bottom + 16}">{tick:g}</text>')
        if first:
            out.append(f'<text class="k e" x="{left - 6}" y="{y(tick) + 4}">{tick:g}</text>')
    out.append(f'<rect class="edge" x="{left}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}"/>')
    out.append(f'<line class="right" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    for each in one.bins:
        if each.observed.estimate is not None:
            out.append(
                f'<line class="bar" x1="{x(each.mean)}" x2="{x(each.mean)}" y1="{y(each.observed.low)}" y2="{y(each.observed.high)}"/>'
            )
            out.append(
                f'<circle class="dot" cx="{x(each.mean)}" cy="{y(each.observed.estimate)}" r="4">'
                f"<title>mean score {each.mean:.3f}: {each.positives} of {each.n} crises</title></circle>"
            )
    out.append(f'<text class="m" x="{left + _SIZE / 2}" y="{bottom + 36}">mean score</text>')
    if first:
        out.append(
            f'<text class="m" transform="translate({left - 40} {_TOP + _SIZE / 2}) rotate(-90)">share of crises</text>'
        )
    return out


def line(name: str, one: Calibration) -> str:
    """One split in words."""

    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.4f}"

    span = f" ({one.ece_span.low:.4f} to {one.ece_span.high:.4f})" if one.ece_span is not None else ""
    again = one.recalibration
    slope = (
        "no slope"
        if again is None
        else f"slope {again.slope:.2f} (SE {again.slope_error:.2f}), intercept {again.intercept:.2f} (SE {again.intercept_error:.2f})"
    )
    return (
        f"{name:12} n {one.n:,} crises {one.positives:,}  Brier {number(one.brier)}  skill {number(one.brier_skill)}  log loss {number(one.log_loss)}  "
        f"ECE {number(one.ece)}{span}  {slope}"
    )


def _plain(one: Calibration) -> dict[str, Any]:
    return {
        "n": one.n,
        "positives": one.positives,
        "brier": one.brier,
        "brier_skill": one.brier_skill,
        "log_loss": one.log_loss,
        "ece": one.ece,
    }


def main() -> None:
    """Measure, print, and draw if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help="name or folder")
    parser.add_argument("--splits", nargs="+", choices=get_args(Split), default=["validation", "test", "test-hard"])
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    engine = LocalEngine.load(engine_folder(given.engine))
    found = {split: measured(engine, split) for split in given.splits}
    if given.plot is not None:
        given.plot.write_text(drawn(engine, found), encoding="utf-8")
    if given.json:
        print(
            json.dumps(
                {"engine": engine.id, "sha256": engine.sha256, **{name: _plain(one) for name, one in found.items()}},
                indent=1,
            )
        )
    else:
        print(f"{engine.id}, threshold {engine.thresholds[0]:.4f}: {engine.card.threshold_rule}")
        print("\n".join(line(name, one) for name, one in found.items()))


if __name__ == "__main__":
    main()
