"""The server of `fake_llm.c`, compiled where it is needed and started beside the client that is measured."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("fake_llm.c")
BUILT = Path(__file__).parent.parent.parent / "build/peers/fake_llm"


@dataclass(frozen=True)
class FakeModel:
    """A server that runs."""

    port: int

    @property
    def base_url(self) -> str:
        """For a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, int]:
        """What it has counted."""
        return self._ask("stats")

    def reset(self) -> None:
        """Begin to count anew."""
        self._ask("reset")

    def _ask(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as response:
            return dict(json.load(response))


def compiled() -> Path:
    """The program, compiled anew when its source is newer.

    Raises:
        SystemExit: there is no C compiler.
    """
    if BUILT.exists() and BUILT.stat().st_mtime >= SOURCE.stat().st_mtime:
        return BUILT
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise SystemExit("the bench needs a C compiler (cc, gcc or clang) for its server")
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    fresh = BUILT.with_name(f"{BUILT.name}.{os.getpid()}")
    subprocess.run([compiler, "-O2", "-o", str(fresh), str(SOURCE)], check=True)
    fresh.replace(BUILT)
    return BUILT


@contextmanager
def fake_model(*, core: int | None = None, **settings: object) -> Iterator[FakeModel]:
    """A server on a free port of the loopback, ended at the end.

    Args:
        core: the only one it may run on; `None` leaves it to the system.
        **settings: as `fake_llm.c` documents them.
    """
    command = [str(compiled()), *(f"{name}={value}" for name, value in settings.items())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {core})
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        yield FakeModel(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait()
