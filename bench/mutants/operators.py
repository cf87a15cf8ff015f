"""Changes to what stands outside functions, and inside those that mutmut leaves alone because they are decorated.

Tables, defaults and orders decide as much as code does: which fault a breaker counts, which flag forbids a negative, which
severity is the higher. mutmut 3 makes its mutants as copies of functions, so it changes none of that, nor validators and properties.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BY_MUTMUT = {"staticmethod", "classmethod"}
# Names for readers and the memory layout: nothing that a message could meet.
_NO_BEHAVIOUR = {"__all__", "slots"}
# Vocabularies whose order means nothing.
_UNORDERED = {"Subject", "Timeframe", "ScoreSource", "Flag", "Rejudgement"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module."""

    line: int
    change: str
    """What was changed, in words."""
    source: str = ""
    """The whole module, changed."""


def mutants(source: str) -> Iterator[Mutant]:
    """Every change of a module's source that compiles to something else."""
    tree = ast.parse(source)
    seen = {ast.dump(tree)}
    for path in _places(tree):
        ordered = not _within_unordered(tree, path)
        for change, mutate in _changes(_at(tree, path), ordered=ordered):
            changed = copy.deepcopy(tree)
            node = _at(changed, path)
            mutate(node)
            ast.fix_missing_locations(changed)
            if (dump := ast.dump(changed)) not in seen:
                seen.add(dump)
                yield Mutant(getattr(node, "lineno", 0), change, ast.unparse(changed))


_Path = tuple[tuple[str, int | None], ...]


def _at(node: ast.AST, path: _Path) -> ast.AST:
    for name, index in path:
        child = getattr(node, name)
        node = child if index is None else child[index]
    return node


def _within_unordered(tree: ast.AST, path: _Path) -> bool:
    top = _at(tree, path[:1])
    return isinstance(top, ast.Assign) and isinstance(top.targets[0], ast.Name) and top.targets[0].id in _UNORDERED


def _places(tree: ast.Module) -> Iterator[_Path]:
    def walk(node: ast.AST, path: _Path) -> Iterator[_Path]:
        yield path
        for name, value in ast.iter_fields(node):
            children = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, child in children:
                if isinstance(child, ast.AST) and not _left_out(node, name, child):
                    yield from walk(child, (*path, (name, index)))

    yield from walk(tree, ())


def _left_out(parent: ast.AST, name: str, child: ast.AST) -> bool:
    if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
        names = {d.id for d in child.decorator_list if isinstance(d, ast.Name)}
        return not child.decorator_list or bool(names & _BY_MUTMUT)
    if isinstance(child, ast.Import | ast.ImportFrom) or (
        name in {"annotation", "returns", "args"} and not isinstance(parent, ast.Call)
    ):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True  # a docstring
    if isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name):
        return child.targets[0].id in _NO_BEHAVIOUR
    return isinstance(child, ast.keyword) and child.arg in _NO_BEHAVIOUR


_Change = tuple[str, Callable[[ast.AST], None]]


def _changes(node: ast.AST, *, ordered: bool) -> Iterator[_Change]:
    if isinstance(node, ast.Constant):
        yield from _constant(node)
    elif isinstance(node, ast.Compare):
        other = _COMPARISONS[type(node.ops[0])]
        yield f"another comparison in {ast.unparse(node)}", lambda n: setattr(n, "ops", [other(), *n.ops[1:]])  # type: ignore[attr-defined]
    elif isinstance(node, ast.BoolOp):
        swapped: ast.boolop = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield f"and/or in {ast.unparse(node)}", lambda n: setattr(n, "op", swapped)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"no not in {ast.unparse(node)}", lambda n: setattr(n, "op", ast.UAdd())
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Fault":
        another = "INTERNAL" if node.attr != "INTERNAL" else "TIMEOUT"
        yield f"{another} for {node.attr}", lambda n: setattr(n, "attr", another)
    yield from _left_out_of(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for at, statement in enumerate(node.body[1:], start=1):
            yield f"without {ast.unparse(statement)[:60]!r}", lambda n, at=at: n.body.__setitem__(at, ast.Pass())  # type: ignore[misc]
    if isinstance(node, ast.Tuple) and ordered:
        for at in range(len(node.elts) - 1):
            yield f"places {at} and {at + 1} exchanged in {ast.unparse(node)[:60]}", lambda n, at=at: _swap(n, at)  # type: ignore[misc]


def _constant(node: ast.Constant) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):
        yield f"{not value} for {value}", lambda n: setattr(n, "value", not value)
    elif isinstance(value, int | float):
        yield f"{value + 1} for {value}", lambda n: setattr(n, "value", value + 1)
    elif isinstance(value, str) and value:
        yield f"another text for {value[:30]!r}", lambda n: setattr(n, "value", f"XX{value}XX")


def _left_out_of(node: ast.AST) -> Iterator[_Change]:
    """One thing fewer: an argument, a decorator, a statement, an element, an entry."""
    if isinstance(node, ast.Call | ast.ClassDef):
        for at, keyword in enumerate(node.keywords):
            if keyword.arg not in _NO_BEHAVIOUR:
                yield f"without {ast.unparse(keyword)}", lambda n, at=at: n.keywords.pop(at)  # type: ignore[misc]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for at, decorator in enumerate(node.decorator_list):
            yield f"without @{ast.unparse(decorator)}", lambda n, at=at: n.decorator_list.pop(at)  # type: ignore[misc]
    if isinstance(node, ast.Tuple | ast.Set | ast.List):
        for at, element in enumerate(node.elts):
            yield f"without {ast.unparse(element)[:60]}", lambda n, at=at: n.elts.pop(at)  # type: ignore[misc]
    if isinstance(node, ast.Dict):
        for at, key in enumerate(node.keys):
            yield f"without {ast.unparse(key) if key else '**'}", lambda n, at=at: (n.keys.pop(at), n.values.pop(at))  # type: ignore[misc]


def _swap(node: ast.AST, at: int) -> None:
    elements = node.elts  # type: ignore[attr-defined]
    elements[at], elements[at + 1] = elements[at + 1], elements[at]
