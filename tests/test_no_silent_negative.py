"""`no_crisis` is produced in one function. This walks the source for any other place that could say it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import crisis_filter

PACKAGE = Path(crisis_filter.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
NEGATIVE = "no_crisis"


def producing(tree: ast.AST) -> list[int]:
    """Lines where the literal is passed on, assigned, returned, defaulted or yielded, rather than compared with."""
    harmless: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            harmless |= {id(part) for part in ast.walk(node)}
        elif isinstance(node, ast.Subscript):  # Literal["crisis", ...] and a look-up in a table of words
            harmless |= {id(part) for part in ast.walk(node.slice)}
        elif isinstance(node, ast.Dict):  # the key of a table of words
            harmless |= {id(key) for key in node.keys}
        elif isinstance(node, ast.MatchValue | ast.Expr):
            harmless |= {
                id(part)
                for part in ast.walk(node)
                if isinstance(node, ast.MatchValue) or part is getattr(node, "value", None)
            }
        elif isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Tuple):
            harmless |= {id(part) for part in ast.walk(node.iter)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == NEGATIVE and id(node) not in harmless
    ]


# Reads what other systems said, into records of the evaluation that nothing routes; a test below sees that it stays so.
READS_OTHERS = "evaluation/runs.py"


# What a person types is their word, and goes into a reading of theirs.
HEARS_PEOPLE = "cli/queue_answers.py"


def test_only_conclude_says_no_crisis():
    """One call in one function of one file, but for what other systems said and what is only counted."""
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in SOURCES
        if (lines := producing(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert list(found) == [HEARS_PEOPLE, READS_OTHERS, "schema.py"]
    assert len(found[HEARS_PEOPLE]) == 1
    assert len(found[READS_OTHERS]) == 2, "one for a label, one for a severity"
    tree = ast.parse((PACKAGE / "schema.py").read_text(encoding="utf-8"))
    conclude = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "conclude")
    assert len(found["schema.py"]) == 1
    assert conclude.lineno < found["schema.py"][0] <= (conclude.end_lineno or 0)


def test_an_evaluation_makes_no_assessment():
    """What another system said never becomes something that could be routed."""
    for path in (PACKAGE / "evaluation").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Assessment", "Conclusion"}), (
                path
            )


def test_every_baseline_goes_through_one_assessment():
    """Of all modules about other people's systems one makes assessments, and none makes a conclusion of its own."""
    making = {
        (path.name, node.func.id)
        for path in (PACKAGE / "baselines").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Assessment", "Conclusion", "ScreenVerdict"}
    }
    assert making == {("base.py", "Assessment"), ("base.py", "ScreenVerdict")}


@pytest.mark.parametrize(
    "code",
    [
        'outcome = "no_crisis"',
        'f(outcome="no_crisis")',
        'return_value = {"outcome": "no_crisis"}',
        'x: str = "no_crisis"',
        'def f(a="no_crisis"): ...',
    ],
)
def test_the_walk_sees_each_way_of_saying_it(code):
    """The test above would notice an assignment, an argument, a value in a table, a default."""
    assert producing(ast.parse(code)) == [1]


def test_no_verdict_is_negative_by_default():
    """No field or variable named crisis starts out false."""
    offenders = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            target = (
                node.target
                if isinstance(node, ast.AnnAssign)
                else node.targets[0]
                if isinstance(node, ast.Assign)
                else None
            )
            name = getattr(target, "id", getattr(target, "attr", ""))
            if name in {"crisis", "is_crisis"} and isinstance(node.value, ast.Constant) and node.value.value is False:
                offenders.append(f"{path.name}:{node.lineno}")
    assert offenders == []
