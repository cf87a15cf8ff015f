"""Our engine beside other people's offline packages, as the VBHSF paper's Tables 2 and 3 set systems beside one another.

    python -m bench.baselines [--output FILE.md] [--stored] [--allow-absent]

Every system runs as `bench.engines` runs it: in a process of its own, in a pinned environment, one message at a time, without a network. What each said of each
message is stored under `bench/results/baselines`: ids, outcomes and categories, no text, in the form that `crisis-filter evaluate` reads; of a package with two
settings the one that finds more is here, and both are in `bench/engine.md`. `--stored` asks nobody and makes the tables from what is stored.

Per category both ways: the one flag taken for the answer in every category, as the paper does with systems that name none of ours, and a package's own labels
read as our categories by its map in `categories/maps`, which also says what it is meant for.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.engines import PEERS, SET, SPLITS, ask_all, ordinary_topics, ours, simulated
from bench.peers.baseline_tables import About, page
from bench.peers.offline_asking import Answers, Said, System
from crisis_filter.baselines.offline_rules import TOOLS
from crisis_filter.datasets.records import Split
from crisis_filter.evaluation.evaluate import evaluate
from crisis_filter.evaluation.gold import read_gold
from crisis_filter.evaluation.records import Evaluation, Settings
from crisis_filter.evaluation.runs import read_run
from crisis_filter.local.artifact import bundled
from crisis_filter.schema import UNSPECIFIED
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import load_map

RESULTS = Path(__file__).parent / "results/baselines"
SETTINGS = Settings(level=0.95, interval="wilson", adjustment="bonferroni", resamples=2000, seed=0, failures="wrong")
"""Those of the paper, and our bootstrap for averages."""
_TAXONOMY = "clinical-v1"
_MOST_SENSITIVE = ("bh-sentinel-any", "rrt-advocate-vader", "pantheon-guardrails", "cogno-aegis")
_FIELDS = ("id", "outcome", "categories", "fault", "detector", "model")
_OUTCOMES = {True: "crisis", False: "no_crisis", None: "undetermined"}


def systems() -> list[System]:
    """Our whole filter with the bundled engine, then a row for each package."""
    mine = next(system for system in ours([bundled()]) if system.tool == "filter")
    return [mine, *(system for tool in _MOST_SENSITIVE for system in PEERS if system.tool == tool)]


def name_of(system: System) -> str:
    """As files and tables call it: our engine's id, or the package's name."""
    return bundled().name if system.peer is None else TOOLS[system.tool].package


def rows(system: System, answers: Answers, ids: Sequence[str]) -> list[dict[str, str]]:
    """What a system said of these messages, a row each, in their order.

    Args:
        system: which.
        answers: by ids that begin with the split.
        ids: such as `test/0a1b`; a row has what stands after the split.
    """
    found = []
    for at in ids:
        said = answers.said[at]
        fields = (
            at.split("/", maxsplit=1)[1],
            _OUTCOMES[said.flagged],
            "|".join(_categories(system, said)),
            said.fault,
            f"local:{name_of(system)}" if system.peer is None else f"baseline:{name_of(system)}",
            _model(system, answers),
        )
        found.append(dict(zip(_FIELDS, fields, strict=True)))
    return found


def _categories(system: System, said: Said) -> tuple[str, ...]:
    if not said.flagged:
        return ()
    named = said.labels if system.peer is None else load_map(name_of(system)).ours(said.labels)
    return named or (UNSPECIFIED,)


def _model(system: System, answers: Answers) -> str:
    options = TOOLS[system.tool].options if system.peer else {}
    return f"{name_of(system)} {answers.version}" + "".join(f", {key}={value}" for key, value in options.items())


def store(folder: Path, said: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Write a file a system, the same bytes for the same rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in said.items():
        text = io.StringIO()
        table = csv.DictWriter(text, _FIELDS, lineterminator="\n")
        table.writeheader()
        table.writerows(found)
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def evaluated(split: Split, folder: Path, names: Sequence[str]) -> Evaluation:
    """The stored rows of one split against its labels."""
    known = load_taxonomy(_TAXONOMY)
    runs = [read_run(folder / f"{name}.csv.gz", known.ids, known.ref.id, name=name) for name in names]
    return evaluate(read_gold(SET, known.ids, splits=[split]), runs, known.ids, SETTINGS)


def main() -> int:
    """Ask, store, count, print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the tables here (else they are printed)")
    parser.add_argument("--stored", action="store_true", help="ask nobody; count what is stored")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the stored rows")
    parser.add_argument("--allow-absent", action="store_true", help="end with 0 even where a system is absent")
    given = parser.parse_args()
    wanted = systems()
    absent = {} if given.stored else _asked(wanted, given.results)
    names = [name_of(system) for system in wanted if system.name not in absent]
    found: dict[str, Evaluation] = {split: evaluated(split, given.results / split, names) for split in SPLITS}
    notes = tuple(About(name_of(s), "ours" if s.peer is None else s.note) for s in wanted if s.name not in absent)
    text = page(found, notes, absent)
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    for name, why in absent.items():
        print(f"!! ABSENT: {name}: {why}", file=sys.stderr)
    return 1 if absent and not given.allow_absent else 0


def _asked(wanted: Sequence[System], results: Path) -> dict[str, str]:
    """Ask every system about every split and store what it said; of each that gave no answers the reason."""
    ordinary = ordinary_topics()
    cases = {split: simulated(split, ordinary) for split in SPLITS}
    answers, absent = ask_all(wanted, [case for each in cases.values() for case in each], cold=1)
    for split in SPLITS:
        ids = [case.id for case in cases[split]]
        store(results / split, {name_of(s): rows(s, answers[s.name], ids) for s in wanted if s.name in answers})
    return absent


if __name__ == "__main__":
    sys.exit(main())
