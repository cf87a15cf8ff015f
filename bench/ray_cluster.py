"""Ray on this machine alone, and rows for it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.lane import MESSAGES

CRISIS = "#crisis"
"""What the server of `fake_llm.c` takes for one."""
_STORE_BYTES = 256 * 1024 * 1024
_ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without this Ray puts the machine's own address in the place of the loopback's.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}


@contextmanager
def local_ray(cpus: int = 2, folder: str | None = None) -> Iterator[Any]:
    """A cluster that listens on the loopback alone, tells nobody of itself and leaves nothing behind.

    Args:
        cpus: that it is to think there are.
        folder: for its sockets and logs, with a short path, and kept; `None` makes one and removes it.

    Yields:
        The module `ray`.

    Raises:
        SystemExit: Ray is not installed.
    """
    os.environ.update(_ALONE)
    # Ray reads it once; without it, it would write one into the home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        import ray.data
    except ImportError:
        raise SystemExit('Ray is not installed: pip install "crisis-filter[ray]"') from None
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    made = None if folder else tempfile.mkdtemp(prefix="ray-")
    ray.init(
        num_cpus=cpus,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder or made,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()
        if made:
            shutil.rmtree(made, ignore_errors=True)


def rows(first: int, end: int, *, broken: bool = False) -> Any:
    """A table of messages: every tenth is a crisis; with `broken` every hundredth is no text, and every hundred-and-first has no id."""
    import pyarrow as pa

    at = range(first, end)
    texts = [f"{CRISIS if n % 10 == 3 else ''} {MESSAGES[n % 3]} ({n})" for n in at]
    return pa.table(
        {
            "id": pa.array([None if broken and n % 101 == 5 else f"{n}" for n in at], pa.string()),
            "text": pa.array(
                [None if broken and n % 100 == 7 else text for n, text in zip(at, texts, strict=True)], pa.string()
            ),
            "number": pa.array(at, pa.int64()),
        }
    )


def workers_of(parent: int) -> list[int]:
    """Processes of Ray's actors below a process; where the system has `/proc`."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended meanwhile

    def below(pid: int) -> bool:
        return pid == parent or (pid in parents and below(parents[pid]))

    return [pid for pid in found if below(pid)]
