"""A pinned virtual environment for each peer, under `build/peers/`: made once, made again when its requirements change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_BUILD = _HERE.parent.parent / "build" / "peers"
_INSTALL_S = 900


def python_of(peer: str) -> Path | None:
    """The interpreter of a peer's environment, which is made first where it is missing or outdated.

    Args:
        peer: the name of a requirements file in this folder; every package in it is pinned with hashes, dependencies included.

    Returns:
        The interpreter, or `None` where the environment cannot be made; the reason has then been printed on stderr.
    """
    wanted = _HERE / f"{peer}.txt"
    folder = _BUILD / peer
    python = folder / "bin" / "python"
    stamp = folder / "requirements.sha256"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"making {folder} ...", file=sys.stderr)
    steps = (
        [sys.executable, "-m", "venv", str(folder)],
        # Nothing beyond the file is wanted: where it leaves a dependency out, that is on purpose.
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(wanted)],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            _without(peer, type(error).__name__)
            return None
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()
            _without(peer, " ".join(last[-2:]))
            return None
    stamp.write_text(digest, encoding="ascii")
    return python


def version_of(python: Path, package: str) -> str:
    """The version of a package that is installed in an environment."""
    question = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([str(python), "-c", question], capture_output=True, text=True, check=True).stdout.strip()


def _without(peer: str, why: str) -> None:
    print(f"!! NO COLUMN FOR {peer.upper()}: its environment could not be made: {why}", file=sys.stderr)
