"""Try the mutants of `operators`: each in a fork that has the libraries loaded and the package not yet, as pytest runs.

The mutant is written into the copy of the project, so that tests which read the source see it too.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import py_compile
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.mutants.operators import Mutant, mutants

_PRELOADED = (
    "hypothesis", "instructor", "jinja2", "numpy", "onnxruntime", "openai", "py3langid", "pydantic", "pydantic_settings",
    "pytest_asyncio", "pytest_socket", "pytest_timeout", "regex", "tenacity", "yaml",
)  # fmt: skip
# Slow to load, and of no use to these tests.
_NO_PLUGINS = ("-p", "no:langsmith_plugin", "-p", "no:anyio", "-p", "no:pytest_cov")
# Which tests tell most of a module, in steps; the runner stops at the first step that fails.
_EVERYTHING = (
    ("tests/test_records.py", "tests/test_schema.py"),
    ("tests/test_no_silent_negative.py", "tests/pipeline/test_join.py", "tests/pipeline/test_judge.py", "tests/triage", "tests/stages"),
    ("tests/pipeline/test_filter.py", "tests/pipeline/test_forbidding.py"),
)  # fmt: skip
TESTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "crisis_filter/schema.py": _EVERYTHING,
    "crisis_filter/errors/faults.py": (
        ("tests/errors",),
        ("tests/backends/test_breaker.py", "tests/triage/test_rejudge.py", "tests/backends/test_chain_accounts.py"),
    ),
    "crisis_filter/pipeline": (("tests/pipeline/test_join.py", "tests/pipeline/test_judge.py"), ("tests/pipeline/test_forbidding.py", "tests/pipeline/test_filter.py")),
    "crisis_filter/stages": (("tests/stages", "tests/test_records.py"), ("tests/pipeline/test_judge.py",)),
    "crisis_filter/backends/parse.py": (("tests/backends/test_parse.py",), ("tests/stages/test_prompted.py",)),
    "crisis_filter/backends/breaker.py": (("tests/backends/test_breaker.py",), ("tests/backends/test_chain_accounts.py",)),
    "crisis_filter/backends/chain.py": (("tests/backends/test_chain_accounts.py", "tests/backends/test_chain_troubles.py"), ("tests/backends/test_chain.py",)),
    "crisis_filter/triage": (("tests/triage",),),
}  # fmt: skip


def tests_of(module: str) -> tuple[tuple[str, ...], ...]:
    """The tests to run for a module's mutants, in steps."""
    return next(tests for start, tests in TESTS.items() if module.startswith(start))


def tried(work: Path, module: str, arguments: list[str], limit_s: float) -> Iterator[tuple[Mutant, str]]:
    """Each mutant of a module with what became of it: `killed`, `survived` or `timeout`.

    Args:
        work: the copy of the project.
        module: path of the module in it.
        arguments: more arguments for pytest.
        limit_s: seconds that the tests of one mutant may take.

    Raises:
        RuntimeError: the tests fail without any mutant.
    """
    preload()
    path = work / module
    original = path.read_text(encoding="utf-8")
    options = ["-x", "-q", "-W", "ignore::pytest.PytestAssertRewriteWarning", *_NO_PLUGINS, *arguments]
    run = [[*step, *options] for step in tests_of(module)]
    if in_fork(work, lambda: _pytest(run), limit_s) != 0:
        raise RuntimeError(f"the tests of {module} fail without a mutant")
    try:
        for mutant in mutants(original):
            _write(path, mutant.source)
            ended = in_fork(work, lambda: _pytest(run), limit_s)
            yield mutant, {0: "survived", None: "timeout"}.get(ended, "killed")
    finally:
        _write(path, original)


def preload() -> None:
    """Load what every fork needs; not the package."""
    for name in _PRELOADED:
        importlib.import_module(name)
    if "crisis_filter" in sys.modules:
        raise RuntimeError("the package is loaded already: its mutants would not be")


def in_fork(work: Path, do: Callable[[], int], limit_s: float) -> int | None:
    """Exit code of a function in a fork of its own in the copy; `None` when it took too long."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setsid()
        code, here = 70, str(Path.cwd())
        try:
            os.chdir(work)
            sys.path[:] = [str(work), *(place for place in sys.path if place not in ("", here))]
            with (work / "last.txt").open("w") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = _told(do)
        finally:
            os._exit(code)
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _told(do: Callable[[], int]) -> int:
    try:
        return int(do())
    except BaseException:  # noqa: BLE001  # whatever it was, it ends this process, and the copy's last.txt says why
        traceback.print_exc()
        return 70


def _pytest(steps: list[list[str]]) -> int:
    """Exit code of the first step that does not pass."""
    return next((int(code) for code in map(pytest.main, steps) if code), 0)


def _write(path: Path, source: str) -> None:
    """Write a module and its byte code, for one written within the same second may have the same size."""
    path.write_text(source, encoding="utf-8")
    py_compile.compile(str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
