"""The command line: arguments in, one call, output."""

from __future__ import annotations


def main() -> None:
    """Run `crisis-filter` with the arguments of the process, and exit with its status."""
    from crisis_filter.cli.app import app

    app(prog_name="crisis-filter")
