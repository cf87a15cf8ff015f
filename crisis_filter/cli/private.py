"""Words that a person gives in a file or by the standard input, for on a command line others of the machine would see them."""

from __future__ import annotations

import sys
from pathlib import Path

from crisis_filter.errors import ConfigurationError, InputError

__all__ = ["words_in"]


def words_in(path: Path) -> str:
    """What a file holds; `-` is the standard input.

    Raises:
        ConfigurationError: it cannot be read.
        InputError: it is not UTF-8.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8") from None
