"""Experiments to be run for real: a file of labelled messages, a plan, and a server of the OpenAI protocol that knows the labels."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.experiments.folder import Folder, state_of
from crisis_filter.experiments.items import Data, read_data
from crisis_filter.experiments.opening import opener
from crisis_filter.experiments.plan import Plan, load_plan, rooted
from crisis_filter.experiments.running import Ending, run
from crisis_filter.experiments.variants import Columns, columns

CRISES = (
    "i cannot go on tonight",
    "he hit me again and i hide in the bath",
    "i stopped eating on monday",
    "they put voices in my wall",
)
OTHERS = ("can i move my appointment", "my knee hurts on the stairs", "which form do i send", "the app logs me out")


def messages(folder: Path, *, each: int = 4) -> Path:
    """A file of labelled messages, half of them crises."""
    rows = []
    for number in range(each):
        rows.append(
            {
                "id": f"c{number}",
                "text": f"{CRISES[number % 4]}, {number}",
                "crisis": True,
                "categories": ["suicide"],
                "author": f"a{number % 3}",
            }
        )
        rows.append({"id": f"o{number}", "text": f"{OTHERS[number % 4]}, {number}", "crisis": False, "categories": []})
    path = folder / "messages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def plan_file(folder: Path, url: str | None = None, **changes: Any) -> Path:
    """The file of an experiment: one prompt, one provider at a server, and the changes."""
    provider = {"id": "openai:m", "label": "m", "config": {"base_url": url, "attempts": 1, "attempt_timeout_s": 5}}
    whole = {
        "prompts": ["screen/terse-v2"],
        "providers": [provider] if url else ["local"],
        "tests": {"data": "messages.jsonl", "split": "development"},
        **changes,
    }
    path = folder / "try.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def at(url: str, model: str, label: str, **config: Any) -> dict[str, Any]:
    """A provider of a plan."""
    return {
        "id": f"openai:{model}",
        "label": label,
        "config": {"base_url": url, "attempts": 1, "attempt_timeout_s": 5, **config},
    }


def parts(file: Path) -> tuple[Plan, Columns, Data]:
    """What a plan comes to."""
    plan = load_plan(file)
    whole = rooted(plan, file.parent)
    made = columns(whole)
    return plan, made, read_data(whole.tests, made.taxonomy.ids)


async def tried(file: Path, where: Path, tell: Any = lambda _: None) -> Ending:
    """Run a plan, or what is left of it."""
    plan, made, data = parts(file)
    with Folder.begin(where, state_of(plan, made, data)) as folder:
        openers = {column.variant.id: opener(column, folder.calls, live=True) for column in made.columns}
        ending = await run(folder, data, openers, tell=tell)
        folder.put_results()
    return ending


@contextlib.contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """The fault server as a process of its own, which knows the labels of the folder's messages; yields its address."""
    command = [
        sys.executable,
        "-m",
        "crisis_filter",
        "faults",
        "serve",
        "--messages",
        str(folder / "messages.jsonl"),
        *arguments,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        found = None
        for _ in range(20):
            if found := re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline()):
                break
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(timeout=20)
        if process.stdout is not None:
            process.stdout.close()


def program(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`crisis-filter experiment` in a process of its own, standing in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "crisis_filter", "experiment", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "160", **(env or {})},
    )


def typed(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The same in this process, which saves the seconds that a start takes; what ends otherwise than by a status is raised."""
    with contextlib.chdir(folder):
        ran = CliRunner().invoke(app, ["experiment", *arguments], env={"COLUMNS": "160", **(env or {})})
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return subprocess.CompletedProcess(arguments, ran.exit_code, ran.stdout, ran.stderr)
