"""The changes that the mutation runner makes outside functions."""

from __future__ import annotations

import ast

import pytest

from bench.mutants.operators import mutants

SOURCE = '''
"""A module."""
import ast
ORDER = ("low", "high")
Subject = Literal["self", "other"]
LIMIT = 3
__all__ = ["ORDER"]

@dataclass(frozen=True, slots=True)
class Rule:
    """A rule."""
    trips: bool = False
    @property
    def open(self) -> bool:
        """Docs."""
        return not self.trips and LIMIT <= 5
    def left_to_mutmut(self) -> int:
        return 1

RULES = {Fault.TIMEOUT: Rule(trips=True), Fault.SCHEMA: Rule()}
'''


def changed() -> dict[str, str]:
    return {mutant.change: mutant.source for mutant in mutants(SOURCE)}


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ("places 0 and 1 exchanged in ('low', 'high')", "ORDER = ('high', 'low')"),
        ("without 'high'", "ORDER = ('low',)"),
        ("4 for 3", "LIMIT = 4"),
        ("True for False", "trips: bool = True"),
        ("without frozen=True", "@dataclass(slots=True)"),
        ("without @property", "\n\n    def open"),
        ("and/or in not self.trips and LIMIT <= 5", "not self.trips or LIMIT <= 5"),
        ("another comparison in LIMIT <= 5", "LIMIT < 5"),
        ("without trips=True", "Fault.TIMEOUT: Rule(), Fault.SCHEMA"),
        ("INTERNAL for TIMEOUT", "{Fault.INTERNAL: Rule"),
        ("without Fault.SCHEMA", "{Fault.TIMEOUT: Rule(trips=True)}"),
    ],
)
def test_tables_defaults_orders_and_decorated_functions_are_changed(change, holds):
    """Each on its own, in a module that can still be read."""
    source = changed()[change]
    assert holds in source
    ast.parse(source)


def test_what_means_nothing_or_is_changed_by_mutmut_is_left():
    """Docstrings, exports, the layout of memory, the order of a vocabulary, plain functions; and every change changes something."""
    sources = list(changed().values())
    kept = (
        '"""A module."""',
        "__all__ = ['ORDER']",
        "slots=True",
        '"""Docs."""',
        "def left_to_mutmut(self) -> int:\n        return 1",
    )
    assert all(part in source for source in sources for part in kept)
    assert not any("Literal['other', 'self']" in source for source in sources)
    assert len(set(sources)) == len(sources)
    assert ast.unparse(ast.parse(SOURCE)) not in sources
