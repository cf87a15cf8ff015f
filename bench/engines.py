"""Our embedded engine beside other people's offline crisis packages, in one run: what each finds, what it flags for nothing, and what it costs.

    python -m bench.engines [--external PATH/single_turn.jsonl] [--engine FOLDER ...] [--json FILE] [--plot FILE.svg] [--allow-absent]

Every system, ours too, runs in a process of its own through the same runner (`peers/offline_runner.py`; `crisis_filter/baselines/offline_rules.py` says how each
package is called and what counts as flagged): one message at a time, one thread, one core, no network. Packages are pinned with hashes, each in its own environment (`peers/environments.py`).

- Sets: `data/simulated-v1`, test and test-hard, and an external file of lines with `id`, `text`, `crisis` (null is not scored), `categories` and `near_miss`.
- No verdict (our filter's undetermined, a package that raises or refuses) is counted by itself and is wrong in both rates.
- Near misses: messages that are no crisis and were written to look like one. In simulated-v1 those that belong to none of the 18 ordinary topics.
- The last columns put the others against our first engine on the same messages: paired differences (Agresti and Min; exact McNemar, p not adjusted), and
  what that engine would find if its threshold were set to flag no more ordinary messages of this very set than the other does. That threshold is
  chosen on the messages it is counted on.
- A system whose environment cannot be made, or whose runner fails, is named as absent and the exit code is 1, unless `--allow-absent`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers.environments import python_of
from bench.peers.offline_asking import Answers, Case, RunnerError, System, ask
from bench.peers.offline_picture import draw
from bench.peers.offline_rates import against, at_false_alarms, curve, false_alarms, is_near_miss, rates
from bench.peers.offline_table import absences, lines
from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Split
from crisis_filter.experiments.simulate.recipe import load_recipe
from crisis_filter.local.artifact import bundled, read

SET = Path(__file__).parent.parent / "data/simulated-v1"
SPLITS: tuple[Split, ...] = ("test", "test-hard")
_SELF_DIRECTED = frozenset({"suicide", "self_harm"})
PEERS = (
    System("bh-sentinel, any flag", "bh-sentinel-any", "any risk flag of any severity", "bh_sentinel"),
    System("bh-sentinel, HIGH", "bh-sentinel-high", "max_severity HIGH or CRITICAL", "bh_sentinel"),
    System("rrt-advocate", "rrt-advocate", "crisis level above GREEN, built-in sentiment", "rrt_advocate"),
    System(
        "rrt-advocate, VADER", "rrt-advocate-vader", "crisis level above GREEN, with its vader extra", "rrt_advocate"
    ),
    System("pantheon-guardrails", "pantheon-guardrails", "CrisisProtocol triggered", "pantheon_guardrails"),
    System("cogno-aegis", "cogno-aegis", "InputGuard with DEFAULT_CRISIS_RULES, category CRISIS", "cogno_aegis"),
)
"""Other people's packages; each name is a row."""
_PROJECTS = ("bh-sentinel", "rrt-advocate", "pantheon-guardrails", "cogno-aegis")


@dataclass(frozen=True)
class Set:
    """Labelled messages that are scored together."""

    labelled_by: str
    cases: Sequence[Case]
    note: str = ""
    """What a reader of its figures has to know, a clause."""


def ours(folders: Sequence[Path]) -> list[System]:
    """Two rows for each engine: by itself at its own threshold, and inside the whole filter. Several are told apart by id, and those of one id by hash."""
    found = [(str(folder), read(folder)) for folder in folders]
    ids = [artifact.card.id for _, artifact in found]
    systems = []
    for folder, artifact in found:
        name = f" {artifact.card.id}" if len(ids) > 1 else ""
        name += f" {artifact.sha256[:8]}" if ids.count(artifact.card.id) > 1 else ""
        note = f"engine {artifact.card.id}, sha256 {artifact.sha256[:16]}"
        systems.append(System(f"our engine{name}", "engine", f"{note}, at its own threshold", engine=folder))
        systems.append(
            System(f"our filter{name}", "filter", f"{note}, in the whole filter, default policy", engine=folder)
        )
    return systems


def ordinary_topics() -> frozenset[str]:
    """Strata of simulated-v1 that were not made to look like a crisis: those of the recipe that its test split follows."""
    return frozenset(stratum.id for stratum in load_recipe("paper-v1").strata if not stratum.crisis)


def simulated(split: Split, ordinary: frozenset[str]) -> list[Case]:
    """A split of simulated-v1; `ordinary` as `ordinary_topics` gives them."""
    return [
        Case(
            id=f"{split}/{row.id}",
            text=row.text,
            crisis=row.crisis,
            near_miss=not row.crisis and is_near_miss(row.stratum, ordinary),
            self_directed=bool(_SELF_DIRECTED & set(row.categories)),
        )
        for row in load(SET, split)
    ]


def external(path: Path) -> dict[str, Set]:
    """A file of JSON Lines as a set; those whose `crisis` is neither true nor false, 1 nor 0, are left out.

    Where some come from the tests of a package that is compared here (`source`), the rest are a second set: a package does well on messages it was written to.
    """
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row.get("crisis") in (0, 1)]
    cases = [
        Case(
            id=f"{path.name}/{row['id']}",
            text=row["text"],
            crisis=bool(row["crisis"]),
            near_miss=not row["crisis"] and row.get("near_miss") is True,
            self_directed=bool(row["crisis"]) and bool(_SELF_DIRECTED & set(row.get("categories") or ())),
        )
        for row in rows
    ]
    labelled_by = "its sources', or a language-model reader's"
    home = [any(name in str(row.get("source", "")) for name in _PROJECTS) for row in rows]
    if not any(home):
        return {path.name: Set(labelled_by, cases)}
    crises = sum(case.crisis for case, own in zip(cases, home, strict=True) if own)
    note = (
        f"{crises} of its {sum(case.crisis for case in cases)} crises and {sum(home) - crises} of the others are "
        f"test messages of {' and '.join(n for n in _PROJECTS if any(n in str(r.get('source', '')) for r in rows))}"
    )
    others = [case for case, own in zip(cases, home, strict=True) if not own]
    return {
        path.name: Set(labelled_by, cases, note),
        f"{path.name} without those": Set(labelled_by, others),
    }


def ask_all(systems: Sequence[System], cases: Sequence[Case], cold: int) -> tuple[dict[str, Answers], dict[str, str]]:
    """Answers by name, and of each system that gave none the reason."""
    answers: dict[str, Answers] = {}
    absent: dict[str, str] = {}
    for system in systems:
        python = python_of(system.peer) if system.peer else Path(sys.executable)
        if python is None:
            absent[system.name] = "its environment could not be made"
            continue
        print(f"asking {system.name} ...", file=sys.stderr)
        try:
            answers[system.name] = ask(system, python, cases, cold=cold)
        except RunnerError as error:
            absent[system.name] = str(error)
    return answers, absent


def report(
    systems: Sequence[System],
    sets: Mapping[str, Set],
    answers: Mapping[str, Answers],
    absent: Mapping[str, str],
) -> dict[str, Any]:
    """All figures as JSON values.

    Args:
        systems: every row that was wanted; the first is what the others are put against, where it answered.
        sets: by name.
        answers: by system.
        absent: by system, why it did not answer.
    """
    reference = systems[0].name if systems[0].name in answers else None
    found: dict[str, Any] = {}
    for name, scored in sets.items():
        rows, cases = {}, scored.cases
        for system, given in answers.items():
            rows[system] = rates(cases, given.said)
            if reference is not None and system != reference:
                base = answers[reference].said
                rows[system]["against"] = against(cases, given.said, base)
                allowed = false_alarms(cases, given.said)
                rows[system]["reference_at_its_false_alarms"] = at_false_alarms(cases, base, allowed)
        found[name] = {
            "messages": len(cases),
            "labelled_by": scored.labelled_by,
            "note": scored.note,
            "systems": rows,
            "curve": curve(cases, answers[reference].said) if reference is not None else None,
        }
    about = {
        system.name: {
            "ours": system.peer is None,
            "tool": system.tool,
            "note": system.note,
            **{key: value for key, value in vars(answers[system.name]).items() if key != "said"},
        }
        for system in systems
        if system.name in answers
    }
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "reference": reference,
        "systems": about,
        "absent": dict(absent),
        "sets": found,
    }


def main() -> int:
    """Ask every system, print, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--external", type=Path, help="labelled messages of other people, JSON Lines")
    parser.add_argument("--engine", type=Path, action="append", help="engine folder, may be repeated (the bundled one)")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--plot", type=Path, help="draw the sets here, as SVG")
    parser.add_argument("--cold", type=int, default=5, help="processes over which a cold start is taken (default 5)")
    parser.add_argument("--allow-absent", action="store_true", help="end with 0 even where a system is absent")
    given = parser.parse_args()
    if given.cold < 1:
        parser.error("--cold must be at least 1")
    manifest = read_manifest(SET)
    ordinary = ordinary_topics()
    home = "the messages were written for this project"
    sets = {str(split): Set(manifest.labelled_by, simulated(split, ordinary), home) for split in SPLITS}
    if given.external:
        sets |= external(given.external)
    systems = [*ours([folder.resolve() for folder in given.engine or [bundled()]]), *PEERS]
    cases = {case.id: case for scored in sets.values() for case in scored.cases}
    answers, absent = ask_all(systems, list(cases.values()), given.cold)
    made = report(systems, sets, answers, absent)
    print("\n".join(lines(made)))
    if given.json:
        given.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    if given.plot:
        given.plot.write_text(draw(made), encoding="utf-8")
    for line in absences(made):
        print(line, file=sys.stderr)
    return 1 if absent and not given.allow_absent else 0


if __name__ == "__main__":
    sys.exit(main())
