"""The page about the command line says what the command line can do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from crisis_filter.assets import package_version
from crisis_filter.cli import trouble
from crisis_filter.cli.app import app
from crisis_filter.pipeline.description import DEFAULT_POLICY
from crisis_filter.tables.flat import COLUMNS
from crisis_filter.tables.formats import ENDINGS, FORMATS, ID_COLUMNS, TEXT_COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
_TOP = get_command(app).commands  # type: ignore[attr-defined]
# A group with a page of its own (the fault server's) has no options here; another's commands stand like any.
COMMANDS = {name: command for name, command in _TOP.items() if not hasattr(command, "commands") or name == "faults"} | {
    f"{name} {inner}": command
    for name, group in _TOP.items()
    if hasattr(group, "commands") and name != "faults"
    for inner, command in group.commands.items()
}
COMMANDS |= {
    f"{name} {inner}": command
    for name, group in list(COMMANDS.items())
    if hasattr(group, "commands") and name != "faults"
    for inner, command in group.commands.items()
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_documented(name: str) -> None:
    """The section of a command has a row for each of its options, and none for an option it lacks."""
    section = re.search(rf"^## `crisis-filter {name}.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    documented = set(
        re.findall(r"(?<![\w-])--[a-z-]+", "".join(re.findall(r"^\| (`-.*?) \|", section[0], re.MULTILINE)))
    )
    options = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")}
    assert documented == options - {"--help"}


@pytest.mark.parametrize(
    "status",
    ["OK", "INTERNAL", "BAD_INPUT", "UNDETERMINED", "NOT_PASSED", "CONFIGURATION", "INTERRUPTED", "PIPE_CLOSED"],
)
def test_every_exit_status_is_documented(status: str) -> None:
    """Each exit status of the program is in the table."""
    assert re.search(rf"^\| {getattr(trouble, status)} \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", [*FORMATS, *ENDINGS, *COLUMNS, *TEXT_COLUMNS, *ID_COLUMNS])
def test_every_format_and_column_is_documented(name: str) -> None:
    """Formats, endings and columns that the program knows are on the page."""
    assert f"`{name}`" in PAGE


def test_version(run: object) -> None:
    """`--version` says which release this is, without opening anything."""
    ran = run("--version", backend=False)  # type: ignore[operator]
    assert (ran.status, ran.out) == (0, f"crisis-filter {package_version()}\n")


def test_help_names_the_default_policy() -> None:
    """A new policy pack becomes the default in one place, and the help must not lag behind."""
    option = next(p for p in COMMANDS["classify"].params if "--policy" in p.opts)
    assert f"(default: {DEFAULT_POLICY})" in option.help
