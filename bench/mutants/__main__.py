"""Run the mutants and print the scores: `python -m bench.mutants [functions] [outside] [MODULE...]`."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from bench.mutants import functions, outside
from bench.mutants.workspace import modules, prepare, settings

_LIMIT_S = 120.0


def main() -> None:
    """Print a table of each kind, and the survivors."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("what", nargs="*", help="functions, outside, or parts of modules' paths; all without any")
    asked = parser.parse_args().what
    kinds = [word for word in asked if word in ("functions", "outside")] or ["functions", "outside"]
    parts = [word for word in asked if word not in kinds]
    work = prepare()
    chosen = [module for module in modules() if not parts or any(part in module for part in parts)]
    if "functions" in kinds:
        patterns = [module.removesuffix(".py").replace("/", ".") + "*" for module in chosen]
        functions.run(work, tuple(patterns) if parts else ())
        found = {module: names for module, names in functions.results(work).items() if module in chosen}
        print("\ninside functions, by mutmut\n\n" + functions.table(found))
        survivors = [name for names in found.values() for name, word in names.items() if word != "killed"]
        for name in survivors:
            print(f"  {name}: {functions.change(work, name)}")
    if "outside" in kinds:
        _outside(work, chosen)


def _outside(work: Path, chosen: list[str]) -> None:
    found: dict[str, dict[str, str]] = {}
    arguments = settings()["pytest_add_cli_args"]
    started = time.monotonic()
    for module in chosen:
        found[module] = {}
        for mutant, word in outside.tried(work, module, arguments, _LIMIT_S):
            found[module][f"{module}:{mutant.line} {mutant.change}"] = word
        print(module, dict(Counter(found[module].values())), f"{time.monotonic() - started:.0f} s", flush=True)
        (work / "outside.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("\noutside functions, by bench.mutants.operators\n\n" + functions.table(found))
    for names in found.values():
        for name, word in names.items():
            if word != "killed":
                print(f"  {word}: {name}")


if __name__ == "__main__":
    main()
