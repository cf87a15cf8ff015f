"""A copy of the project to break, in `build/mutation`, and which modules and tests are meant."""

from __future__ import annotations

import fnmatch
import shutil
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "mutation"
_COPIED = ("crisis_filter", "tests", "bench", "categories", "data", "policies", "prompts", "pyproject.toml")


def settings() -> dict[str, Any]:
    """The table `[tool.mutmut]` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    return table


def modules() -> list[str]:
    """Paths of the modules that decide, relative to the project."""
    paths = (str(path.relative_to(ROOT)) for path in sorted((ROOT / "crisis_filter").rglob("*.py")))
    return [path for path in paths if any(fnmatch.fnmatch(path, pattern) for pattern in settings()["only_mutate"])]


def prepare() -> Path:
    """Copy what is needed anew, and keep what mutmut remembers of earlier runs."""
    WORK.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        source, target = ROOT / name, WORK / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return WORK
